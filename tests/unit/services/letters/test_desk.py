"""Dead letters: written by every consumer, shown, put back and dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.core.execution.commands import Continue
from flunq.core.letters import dead_letter
from flunq.errors import ConflictError, NotFoundError, RejectedError
from flunq.services.wire import encode_dispatch
from flunq.services.worker.jobs import Job
from tests.support.letters import in_kept_cluster, letters
from tests.support.virtual import HEAD, owner_of, stream_of
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from flunq.client.client import Client
    from flunq.core.execution.effects import Dispatch
    from flunq.testing.cluster import Cluster

HELLO = HEAD % "hello" + "do: [{x: {set: {n: '${ .n }'}}}]\n"
ALONE = HEAD % "alone" + "do: [{x: {call: nobody-runs-this}}]\n"
TRYING = HEAD % "trying" + (
    "do:\n- t:\n    try: [{x: {raise: {error: {type: https://e.example, status: 500}}}}]\n"
    "    catch: {retry: {delay: {seconds: 1}, limit: {attempt: {count: 2}}}}\n"
)
START = {
    "type": "start",
    "id": "e1",
    "workflow": {"namespace": "test", "name": "hello", "version": "0.1.0", "digest": ""},
    "input": {"n": 5},
}

DEEP = b"[" * 2_000 + b"]" * 2_000


async def publish_input(cluster: Cluster, data: bytes) -> None:
    async with stream_of(cluster) as stream:
        await stream.inbox.publish(0, data, message_id=str(len(data)), external=True)


async def publish_letter(cluster: Cluster, letter: dict[str, Any]) -> None:
    async with stream_of(cluster) as stream:
        body = msgspec.json.encode(letter)
        await stream.dead_letters.publish(body, message_id=letter["id"])


@pytest.mark.parametrize("body", [b"nonsense", b'[{"type": "start", "input": %b}]' % DEEP])
def test_an_input_that_cannot_be_read_is_kept_and_its_neighbours_are_not_held_up(
    body: bytes,
) -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await publish_input(cluster, body)
        [letter] = await letters(client)
        assert (letter.origin, letter.body) == ("input", None)
        assert letter.place == {"partition": 0, "seq": 1, "external": True}
        assert (await client.dead_letters.show(letter.id)).body == body.decode()
        await client.apply(HELLO)
        assert await (await client.start("hello", {"n": 1})).result(20) == {"n": 1}

    in_kept_cluster(situation)


def test_an_input_that_was_corrected_goes_back_to_its_owner() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        version = (await client.apply(HELLO))["version"]
        start = {**START, "workflow": START["workflow"] | {"version": version}}  # type: ignore[operator]
        await publish_input(cluster, b"[{]")
        [letter] = await letters(client)
        with pytest.raises(RejectedError, match="cannot be read"):
            await client.dead_letters.retry(letter.id)
        done = await client.dead_letters.retry(letter.id, msgspec.json.encode([start]).decode())
        assert done.outcome == "delivered"
        while not await client.list(prefix="e1"):
            await elapse(0.05)
        assert (await client.result("e1", timeout=20)).output == {"n": 5}
        assert await client.dead_letters.list() == []

    in_kept_cluster(situation)


def test_nobody_slips_a_report_in_by_correcting_an_input() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await publish_input(cluster, b"nonsense")
        [letter] = await letters(client)
        report = '[{"type": "report", "id": "e1", "task": "t", "output": 1}]'
        with pytest.raises(RejectedError, match="only starts and control commands"):
            await client.dead_letters.retry(letter.id, report)

    in_kept_cluster(situation)


@pytest.mark.parametrize("body", [b"{", b'{"type": "x", "data": %b}' % DEEP])
def test_an_event_that_cannot_be_read_is_kept_once_and_can_be_corrected(body: bytes) -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        async with stream_of(cluster) as stream:
            await stream.bus.publish("ext", body, type="x", message_id="m")
            [letter] = await letters(client)
            assert letter.origin == "event"
            event = {"specversion": "1.0", "id": "1", "source": "https://e.example", "type": "x"}
            await client.dead_letters.retry(letter.id, msgspec.json.encode(event).decode())
            assert await stream.bus.last_seq() == 2
        around = await client.dead_letters.look_around(10)
        assert [event.get("id") for event in around.events] == [None, "1"]

    in_kept_cluster(situation, partitions=2)


def test_a_task_whose_retries_are_used_up_leaves_a_letter_that_knows_its_execution() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(TRYING)
        await (await client.start("trying", id="e1")).wait(60)
        [letter] = await letters(client)
        found = (letter.origin, letter.execution, letter.task, letter.attempts)
        assert found == ("task", "e1", "/do/0/t", 3)
        with pytest.raises(ConflictError, match="e1 is faulted already") as error:
            await client.dead_letters.retry(letter.id)
        assert error.value.hint == "let it go on from there with: flunq retry e1"

    in_kept_cluster(situation)


async def open_task(client: Client, cluster: Cluster) -> Dispatch:
    await client.apply(ALONE)
    await client.start("alone", id="e1")
    [task] = owner_of(cluster).executions.live["e1"].state.tasks  # type: ignore[union-attr]
    dispatch = owner_of(cluster).executions.open_dispatch("e1", task)
    assert dispatch is not None
    return dispatch


def test_a_task_that_is_still_waited_for_is_queued_again() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        dispatch = await open_task(client, cluster)
        body = encode_dispatch(dispatch)
        letter = dead_letter("task", dispatch.task, body, reason="r", now=1, source="/x")
        await publish_letter(cluster, letter)
        async with stream_of(cluster) as stream:
            while not (before := await stream.tasks.queued("e1")):
                await elapse(0.01)
            assert (await client.dead_letters.retry("1")).outcome == "queued"
            assert await stream.tasks.queued("e1") == before + 1
        assert (await client.dead_letters.retry("1")).outcome == "queued", "asked twice, done once"

    in_kept_cluster(situation)


def test_an_attempt_that_is_over_is_not_queued_again() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        dispatch = await open_task(client, cluster)
        other = msgspec.structs.replace(dispatch, task="another")
        body = encode_dispatch(other)
        letter = dead_letter("task", "another", body, reason="r", now=1, source="/x")
        await publish_letter(cluster, letter)
        with pytest.raises(ConflictError, match="has gone on without"):
            await client.dead_letters.retry("1")

    in_kept_cluster(situation)


def test_letters_are_listed_newest_first_chosen_and_dropped() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        for number in range(450):
            letter = dead_letter(
                "task", f"t{number}", b"{}", reason="r", now=1, source="/x",
                execution=f"e{number % 2}",
            )  # fmt: skip
            await publish_letter(cluster, letter)
        found = await client.dead_letters.list()
        assert [int(each.id) for each in found] == list(range(450, 0, -1))
        assert len(await client.dead_letters.list(execution="e1")) == 225
        assert [each.id for each in await client.dead_letters.list(limit=2)] == ["450", "449"]
        assert (await client.dead_letters.drop("449")).execution == "e0"
        with pytest.raises(NotFoundError, match="no dead letter 449"):
            await client.dead_letters.show("449")

    in_kept_cluster(situation)


def test_an_execution_that_was_set_aside_cannot_be_put_back() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await open_task(client, cluster)
        owner = owner_of(cluster)
        owner.setting_aside.live(owner.executions.live["e1"], "a defect", Job(Continue(id="e1")))
        [letter] = await letters(client)
        assert (letter.origin, letter.execution, letter.reason) == ("execution", "e1", "a defect")
        with pytest.raises(ConflictError, match="was set aside"):
            await client.dead_letters.retry(letter.id)

    in_kept_cluster(situation)
