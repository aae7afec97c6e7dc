"""What is decided before a timer is due, on clusters in virtual time."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from flunq.core.execution import fold
from flunq.core.execution.commands import Command, Fire
from flunq.core.execution.decide import decide
from flunq.services.worker import foresight
from flunq.services.worker import owner as owning
from flunq.services.worker.heeding import Heeding
from flunq.services.worker.listeners import Listeners
from tests.support.pausing import PauseDesk
from tests.support.virtual import HEAD, in_cluster, owner_of
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flunq.client.client import Client
    from flunq.core.events import LazyEvent
    from flunq.services.worker.executions import Live
    from flunq.testing.cluster import Cluster

    Meanwhile = Callable[[Cluster, Client], Awaitable[None]]

NAP = HEAD % "nap" + "do: [{w: {wait: {seconds: 30}}}]\n"
LOOKED_AT = 29.8
"""Seconds after which what such a wait leads to is known."""
BODIES = {
    "a wait at the end": "do: [{w: {wait: {seconds: 30}}}]",
    "a wait before a step": "do: [{w: {wait: {seconds: 30}}}, {b: {call: step, with: {n: 2}}}]",
    "a listener that hears nothing": """
do:
- hear: {listen: {to: {one: {with: {type: test.rang}}}}, timeout: {after: {seconds: 30}}}
""",
    "a workflow that runs out of time": """
timeout: {after: {seconds: 30}}
do: [{hear: {listen: {to: {one: {with: {type: test.rang}}}}}}]
""",
    "another try": """
do:
- again:
    try: [{x: {raise: {error: {type: "https://example.com/wrong", status: 500}}}}]
    catch: {retry: {delay: {seconds: 30}, limit: {attempt: {count: 1}}}}
""",
    "an event that is told": """
do:
- w: {wait: {seconds: 30}}
- e: {emit: {event: {with: {source: "https://example.com", type: test.told, id: "1"}}}}
""",
    "waits side by side": """
do:
- both:
    fork:
      branches:
      - a: {wait: {seconds: 30}}
      - b: {wait: {seconds: 30}}
""",
    "a time limit that must not begin before its task": """
do:
- w: {wait: {seconds: 30}}
- b: {call: step, with: {n: 2}, timeout: {after: {milliseconds: 60}}}
""",
    "a short wait": "do: [{w: {wait: {seconds: 30}}}, {b: {wait: {milliseconds: 60}}}]",
    "a large result": "do: [{w: {wait: {seconds: 30}}}, {s: {set: '${ [range(3000)] }'}}]",
    "a value from the clock": "do: [{w: {wait: {seconds: 30}}}, {n: {set: '${ now * 0 }'}}]",
}
NOT_FORESEEN = {
    "waits side by side": 1,  # of two timers the second cannot know what the first will change
    "a time limit that must not begin before its task": 1,
    "a short wait": 1,
    "a large result": 1,
    "a value from the clock": 1,
}


@pytest.fixture
def decided_in_time(monkeypatch: pytest.MonkeyPatch) -> list[Command]:
    """Collect the timers that are decided about when they fire, for nothing was foreseen."""
    fired: list[Command] = []

    def watched(state: Any, command: Command, *rest: Any) -> Any:
        if isinstance(command, Fire):
            fired.append(command)
        return decide(state, command, *rest)

    monkeypatch.setattr(owning, "decide", watched)
    return fired


async def nothing(_cluster: Cluster, _client: Client) -> None:
    """Let nothing happen."""


def history_of(body: str, meanwhile: Meanwhile = nothing) -> list[LazyEvent]:
    """Run a workflow; something happens when it is known what its timer leads to."""

    async def situation(cluster: Cluster, client: Client) -> list[LazyEvent]:
        await client.apply(HEAD % "tried" + body)
        run = await client.start("tried", id="x1")
        await elapse(LOOKED_AT)
        await meanwhile(cluster, client)
        await run.wait(60)
        assert not owner_of(cluster)._foresight._foreseen
        return [event async for event in client.history("x1")]

    return in_cluster(situation)


def told(history: list[LazyEvent]) -> list[tuple[str, dict[str, Any]]]:
    """Return what events say, but when."""
    return [(event.type, _timeless(event.value())) for event in history]


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _timeless(each)
            for name, each in value.items()
            if not name.endswith("At") and name not in {"due", "request"}
        }
    return value


@pytest.mark.parametrize("name", BODIES)
def test_what_is_foreseen_is_what_happens(
    name: str, monkeypatch: pytest.MonkeyPatch, decided_in_time: list[Command]
) -> None:
    foreseen = history_of(BODIES[name])
    assert len(decided_in_time) == NOT_FORESEEN.get(name, 0)
    monkeypatch.setattr(foresight, "MOST", 0)
    assert told(history_of(BODIES[name])) == told(foreseen)
    assert decided_in_time


def test_events_carry_the_moment_that_a_timer_was_due() -> None:
    history = history_of(BODIES["a wait at the end"])
    started = next(event for event in history if event.type.endswith("task.started.v1"))
    fired = next(event for event in history if event.type == fold.TIMER_FIRED)
    assert datetime.fromisoformat(fired.time).timestamp() * 1e6 == started.value()["due"]


@pytest.mark.parametrize("word", ["cancel", "suspend"])
def test_what_happens_meanwhile_counts(word: str, decided_in_time: list[Command]) -> None:
    async def meanwhile(cluster: Cluster, client: Client) -> None:
        assert owner_of(cluster)._foresight._foreseen
        await (client.cancel if word == "cancel" else client.suspend)("x1")
        await elapse(1)
        if word == "suspend":
            assert (await client.get("x1")).status == "suspended"
            await client.resume("x1")

    ends = [event.type for event in history_of(BODIES["a wait before a step"], meanwhile)]
    assert ends[-1].endswith("cancelled.v1" if word == "cancel" else "completed.v1")
    assert len(decided_in_time) == (word == "suspend")


def test_a_pause_that_comes_meanwhile_is_heeded(
    monkeypatch: pytest.MonkeyPatch, decided_in_time: list[Command]
) -> None:
    async def meanwhile(cluster: Cluster, client: Client) -> None:
        assert owner_of(cluster)._foresight._foreseen
        desk = PauseDesk(cluster)
        with monkeypatch.context() as patched:
            # The timer fires before the owner has told this execution of the pause.
            patched.setattr(Heeding, "_concerned", lambda *_: iter(()))
            await desk.pause("tried", reason="why not")
            await elapse(1)
        assert (await client.get("x1")).status == "suspended"
        await desk.resume("tried")

    history = history_of(BODIES["a wait before a step"], meanwhile)
    assert history[-1].type.endswith("workflow.completed.v1")
    assert len(decided_in_time) == 1


def test_what_goes_wrong_with_one_timer_leaves_the_others_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    note = Listeners.note

    def poisoned(self: Listeners, live: Live) -> None:
        if live.state is not None and live.state.id == "bad" and live.state.is_terminal:
            raise ZeroDivisionError
        note(self, live)

    async def situation(cluster: Cluster, client: Client) -> list[str]:
        await client.apply(NAP)
        owner, now = owner_of(cluster), asyncio.get_running_loop().time
        began = now()
        runs = [await client.start("nap", id=id) for id in ("bad", "good", "also-good")]
        await elapse(1)
        monkeypatch.setattr(Listeners, "note", poisoned)
        ended = [(await run.wait(60)).status for run in runs]
        assert owner_of(cluster) is owner
        assert now() - began < 31
        return ended

    assert in_cluster(situation) == ["quarantined", "completed", "completed"]


def test_what_is_collected_is_not_given_away_before_its_time(
    decided_in_time: list[Command],
) -> None:
    many = """
document:
  {dsl: 1.0.3, namespace: test, name: many, version: 1.0.0, metadata: {METADATA}}
do: [{b: {set: {given: "${ $workflow.input }"}}}]
"""

    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(many.replace("METADATA", "start: {batch: {for: PT30S}}"))
        run = await client.start("many", 1)
        await elapse(LOOKED_AT)
        assert not owner_of(cluster)._foresight._foreseen
        await elapse(2)
        following = await client.start("many", 2)
        assert following.id != run.id
        assert (await run.wait(60)).output == {"given": [1]}

    in_cluster(situation)
    assert decided_in_time


def test_what_comes_too_late_says_so(decided_in_time: list[Command]) -> None:
    async def meanwhile(cluster: Cluster, _client: Client) -> None:
        machine = cluster.machines["m0"]
        machine.freeze()
        await elapse(2)
        machine.thaw()

    history = history_of(BODIES["a wait at the end"], meanwhile)
    fired = next(event for event in history if event.type == fold.TIMER_FIRED)
    due = next(event.value()["due"] for event in history if event.type.endswith("task.started.v1"))
    assert datetime.fromisoformat(fired.time).timestamp() - due / 1e6 > 1.5
    assert len(decided_in_time) == 1


def test_what_cannot_be_foreseen_is_dealt_with_in_its_time(
    monkeypatch: pytest.MonkeyPatch, decided_in_time: list[Command]
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(foresight, "decide", broken)
    assert history_of(BODIES["a wait at the end"])[-1].type.endswith("workflow.completed.v1")
    assert len(decided_in_time) == 1


def test_an_owner_with_something_to_do_does_not_look_ahead(decided_in_time: list[Command]) -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(NAP)
        run = await client.start("nap")
        await elapse(29)
        # What has been added to a commit is under way until somebody commits.
        owner = owner_of(cluster)
        owner.committer._added += 1
        await elapse(0.9)
        assert not owner._foresight._foreseen
        owner.committer._added -= 1
        await run.wait(10)

    in_cluster(situation)
    assert decided_in_time == []


def test_nobody_looks_ahead_while_inputs_are_tried_one_at_a_time() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(NAP)
        run = await client.start("nap")
        await elapse(29)
        owner = owner_of(cluster)
        owner.watched = asyncio.Queue()
        await elapse(0.9)
        assert not owner._foresight._foreseen
        owner.watched = None
        await run.wait(10)

    in_cluster(situation)


@pytest.mark.parametrize("name", ["a short wait", "a large result", "a value from the clock"])
def test_what_was_looked_at_in_vain_is_not_looked_at_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Command] = []

    def watched(state: Any, command: Command, *rest: Any) -> Any:
        looked.append(command)
        return decide(state, command, *rest)

    async def situation(_cluster: Cluster, client: Client) -> None:
        await client.apply(HEAD % "tried" + BODIES[name])
        for _ in range(3):
            run = await client.start("tried")
            await run.wait(60)

    monkeypatch.setattr(foresight, "decide", watched)
    in_cluster(situation)
    timers = [command.timer for command in looked if isinstance(command, Fire)]
    assert timers.count(timers[0]) == 1
