"""An owner that another one may have replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.core.protocol import NewOwner, owner_subject
from tests.support.virtual import HEAD, in_cluster, owner_of
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from flunq.client.client import Client
    from flunq.testing.cluster import Cluster

LONG = HEAD % "long" + "do: [{x: {wait: {minutes: 10}}}]\n"


@pytest.mark.parametrize(("newer", "commits"), [(1, 1), (0, 0)])
def test_whoever_hears_of_a_newer_owner_lets_the_journal_decide(newer: int, commits: int) -> None:
    async def situation(cluster: Cluster, client: Client) -> int:
        await client.apply(LONG)
        run = await client.start("long")
        committer = owner_of(cluster).committer
        await committer.flushed()
        before = committer.commits
        notice = NewOwner(partition=0, epoch=committer.settings.epoch + newer)
        await client._stream.requests.notify(
            owner_subject("default", 0), msgspec.json.encode(notice)
        )
        await elapse(0.1)
        assert (await run.get()).status == "waiting"
        return committer.commits - before

    assert in_cluster(situation) == commits
