"""Why an execution is where it is, asked of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flunq.client.why import explain
from tests.support.letters import in_kept_cluster
from tests.support.virtual import HEAD
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from flunq.client.client import Client
    from flunq.client.reasons import Why
    from flunq.testing.cluster import Cluster

WAITS = "do: [{rest: {wait: {hours: 1}}}]"
ALONE = "do: [{x: {call: nobody-runs-this}}]"
FAILS = "do:\n- x: {raise: {error: {type: 'https://e.example/teapot', status: 418, title: Tea}}}"
TRIES = (
    "do:\n- t:\n    try:\n    - x: {raise: {error: {type: 'https://e.example/x', status: 500}}}\n"
    "    catch: {retry: {delay: {hours: 1}, limit: {attempt: {count: 2}}}}"
)
LISTENS = (
    "do:\n- l:\n    listen:\n      to:\n        one:\n"
    "          with: {type: com.paid, source: 'https://e.example', data: '${ .order == 12 }'}"
)
ASKS = (
    "metadata: {approval: {title: Pay the bill, who: finance%s}}\n    listen:\n      to:\n"
    "        one: {with: {type: com.decided}}"
)
CORRELATES = (
    "input: {from: '{order: 7}'}\ndo:\n- l:\n    listen:\n      to:\n        one:\n"
    "          with: {type: com.paid}\n          correlate:\n"
    "            order: {from: '${ .data.order.id }', expect: '${ .order }'}\n"
    "            who: {from: .subject, expect: ada}\n"
    "            any: {from: .data.any}"
)
PARENT = "do: [{c: {run: {workflow: {namespace: test, name: child, version: latest}}}}]"


def document(name: str, body: str) -> str:
    return f"{HEAD % name}{body}\n"


def why_of(body: str, **steps: Any) -> Why:
    """Return why the execution e1 of a workflow is where it is, half a minute after its start."""

    async def situation(cluster: Cluster, client: Client) -> Why:
        await client.apply(document("child", WAITS))
        await client.apply(document("flow", body))
        await client.start("flow", {}, id="e1")
        for verb, value in steps.items():
            await getattr(client, verb)(*value)
        await elapse(30)
        return await explain(client, "e1")

    return in_kept_cluster(situation)


def test_a_retry_that_is_waited_for_names_its_task() -> None:
    why = why_of(TRIES)
    assert why.headline == "task /do/0/t is tried again (attempt 2) at a moment to come"


def test_a_failure_is_told_once_with_what_became_of_it() -> None:
    tries = TRIES.replace("hours: 1", "seconds: 1")
    found = [(error.what, error.attempt) for error in why_of(tries).errors]
    assert found == [("retried", 1), ("retried", 2), ("ended", 1)]


@pytest.mark.parametrize(
    ("body", "steps", "kind", "words", "command"),
    [
        (WAITS, {}, "timer", "waits for a moment", "flunq wait e1"),
        (WAITS, {"suspend": ("e1", "a move")}, "suspended", ": a move", "flunq resume e1"),
        (WAITS, {"cancel": ("e1", "no more")}, "cancelled", ": no more", "flunq retry e1"),
        (ALONE, {}, "unserved", "no live node runs", "flunq serve executor --functions MODULE.py"),
        (TRIES, {}, "retry", "tried again (attempt 2)", "flunq wait e1"),
        (FAILS, {}, "failed", "at /do/0/x: Tea", "flunq retry e1"),
        ("do: []", {}, "completed", "has completed", "flunq result e1"),
        (PARENT, {}, "child", "which is waiting", "flunq why e1."),
    ],
)
def test_every_state_has_a_cause_and_a_command(
    body: str, steps: dict[str, Any], kind: str, words: str, command: str
) -> None:
    why = why_of(body, **steps)
    assert (why.causes[0].kind, why.headline) == (kind, why.causes[0].text)
    assert words in why.headline
    assert why.command.startswith(command)
    assert why.since is not None


def test_the_last_error_tells_the_line_of_the_definition() -> None:
    error = why_of(FAILS).error
    assert error is not None
    assert (error.type, error.status, error.title) == ("https://e.example/teapot", 418, "Tea")
    assert (error.instance, error.line) == ("/do/0/x", 3)


def test_a_retry_to_come_tells_the_error_before_it() -> None:
    why = why_of(TRIES)
    assert why.error is not None
    assert (why.error.what, why.error.task) == ("retried", "/do/0/t")
    assert why.causes[0].due is not None


def test_attempts_are_counted_for_the_innermost_try() -> None:
    why = why_of(TRIES.replace("hours: 1", "milliseconds: 1"))
    assert "failed after 3 attempts at /do/0/t/try/0/x" in why.headline
    assert why.letters == ["1"]


def event(number: int, **members: Any) -> dict[str, Any]:
    base = {"specversion": "1.0", "id": str(number), "source": "https://e.example"}
    return {**base, "type": "com.paid", "data": {"order": 12}, **members}


def test_events_that_nearly_met_a_listener_show_what_did_not_fit() -> None:
    events = [
        event(1, source="https://other.example"),
        event(2, data={"order": 13}),
        event(3, type="com.unpaid", source="https://other.example", data={}),
    ]
    [cause] = why_of(LISTENS, emit=(events,)).causes
    assert [(miss.id, [part.name for part in miss.failed]) for miss in cause.near] == [
        ("2", ["data"]),
        ("1", ["source"]),
    ]
    assert cause.command == "flunq emit com.paid --source https://e.example --data '{}'"


def test_the_command_for_a_child_tells_what_the_child_waits_for() -> None:
    async def situation(cluster: Cluster, client: Client) -> list[str]:
        await client.apply(document("child", ALONE))
        await client.apply(document("flow", PARENT))
        await client.start("flow", {}, id="e1")
        await elapse(5)
        command = (await explain(client, "e1")).command
        below = await explain(client, command.removeprefix("flunq why "))
        return [command[:12], *(cause.kind for cause in below.causes)]

    assert in_kept_cluster(situation) == ["flunq why e1", "unserved"]


def test_the_event_to_publish_has_the_values_that_correlate_it() -> None:
    why = why_of(CORRELATES)
    words = "flunq emit com.paid --subject ada --data "
    assert why.command == words + """'{"order":{"id":7},"any":"VALUE"}'"""


def test_what_collects_starts_says_how_many_there_are() -> None:
    async def situation(cluster: Cluster, client: Client) -> Why:
        collects = "version: 1.0.0, metadata: {start: {batch: {for: PT1H}}}}"
        await client.apply(document("flow", WAITS).replace("version: 1.0.0}", collects))
        await client.start("flow", 1)
        return await explain(client, (await client.start("flow", 2)).id)

    why = in_kept_cluster(situation)
    assert (why.causes[0].kind, why.command) == ("starts", f"flunq resume {why.id}")
    assert why.headline == "it has not begun: it collects starts (2 so far)"


def test_a_function_without_a_node_may_be_with_a_worker_over_http() -> None:
    (cause,) = why_of(ALONE).causes
    assert cause.kind == "unserved"
    assert cause.act.endswith("a worker over the HTTP API, which may have it already")


def test_an_approval_is_answered_by_its_people_and_not_with_any_event() -> None:
    (cause,) = why_of("do:\n- l:\n    " + ASKS % "").causes
    assert "asks for approval: Pay the bill; it listens for type com.decided" in cause.text
    assert (cause.kind, cause.act, cause.command) == (
        "event",
        "finance",
        "flunq approvals approve e1",
    )


def test_the_answer_to_an_approval_names_its_task_and_what_the_form_needs() -> None:
    one, other = ASKS % "", ASKS % ", form: {type: object, required: [limit]}"
    body = "do:\n- f:\n    fork:\n      branches:\n"
    for name, asks in (("plain", one), ("formed", other)):
        body += f"      - {name}:\n          " + asks.replace("\n", "\n      ") + "\n"
    plain, formed = sorted(cause.command for cause in why_of(body).causes)
    assert plain == "flunq approvals approve e1 --task /do/0/f/fork/branches/0/plain"
    assert formed.startswith("flunq approvals approve e1 --task /do/0/f/fork/branches/1/formed ")
    assert formed.endswith(""" --data '{"limit":"VALUE"}'""")
