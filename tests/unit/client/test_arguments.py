"""Wrong arguments of a client: refused at once, without harm to what is sent beside them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from flunq.errors import RejectedError, UsageError
from tests.support.virtual import HEAD, in_cluster

if TYPE_CHECKING:
    from flunq.client.client import Client
    from flunq.testing.cluster import Cluster

ONE_STEP = HEAD % "one" + "do: [{x: {set: {n: 1}}}]\n"


def test_wrong_tags_do_not_take_other_starts_along() -> None:
    async def situation(cluster: Cluster, client: Client) -> list[Any]:
        await client.apply(ONE_STEP)
        tags: list[dict[str, Any]] = [{"n": "1"}, {"n": 2}, {"n": "3"}]
        starts = [client.start("one", tags=each) for each in tags]
        return [type(run).__name__ for run in await asyncio.gather(*starts, return_exceptions=True)]

    assert in_cluster(situation) == ["Run", "UsageError", "Run"]


def test_a_wrong_reason_is_refused() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        reason: Any = None
        for command in (client.cancel, client.suspend):
            with pytest.raises(UsageError, match=r"Expected `str`, got `null` - at `\$\.reason`"):
                await command("x1", reason)

    in_cluster(situation)


@pytest.mark.parametrize(
    ("events", "error"),
    [
        ({"type": "a"}, UsageError),
        (["a"], UsageError),
        ([{"id": "1", "source": "/x"}], RejectedError),
        ([{"id": "1", "source": "/x", "type": 5}], RejectedError),
    ],
)
def test_wrong_events_are_refused(events: Any, error: type[Exception]) -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        with pytest.raises(error):
            await client.emit(events)

    in_cluster(situation)


def test_executions_are_listed_by_one_status_or_several() -> None:
    async def situation(cluster: Cluster, client: Client) -> list[Any]:
        await client.apply(ONE_STEP)
        await client.result((await client.start("one", id="x1")).id)
        asked: list[Any] = ["completed", ["completed", "faulted"], "faulted", None]
        return [[each.id for each in await client.list(status=status)] for status in asked]

    assert in_cluster(situation) == [["x1"], ["x1"], [], ["x1"]]


@pytest.mark.parametrize("status", ["failed", ["running", "failed"]])
def test_a_status_that_does_not_exist_is_refused(status: str | list[str]) -> None:
    """An empty page would say that nothing has failed."""

    async def situation(cluster: Cluster, client: Client) -> None:
        with pytest.raises(UsageError, match="'failed' is no status"):
            await client.list(status=status)

    in_cluster(situation)
