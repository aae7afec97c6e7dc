"""Counting begins and ends in a journal."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from flunq.chaos.watching import TallyWatch
from flunq.core.events import WORKFLOW_COMPLETED, WORKFLOW_STARTED
from flunq.log.ports import Record
from flunq.log.select import StreamSettings, event_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.log.ports import EventStream


def watch(*commits: list[tuple[str, str]]) -> TallyWatch:
    """Return a watch that has taken some commits, each of them (type, execution)."""
    made = TallyWatch(StreamSettings(url="memory://tally", name="test"))
    for seq, events in enumerate(commits, 1):
        listed = ",".join(
            event(kind, subject) for kind, subject in [("io.flunq.commit", ""), *events]
        )
        made.take(Record(seq=seq, partition=0, data=f"[{listed}]".encode()))
    return made


def event(kind: str, subject: str) -> str:
    return (
        f'{{"id":"1","source":"s","type":"{kind}","time":"2025-01-01T00:00:00Z",'
        f'"subject":"{subject}"}}'
    )


BEGIN, END = WORKFLOW_STARTED, WORKFLOW_COMPLETED


def test_what_began_and_ended_once_is_right() -> None:
    assert list(watch([(BEGIN, "a"), (BEGIN, "b")], [(END, "b"), (END, "a")]).check("ab")) == []


@pytest.mark.parametrize(
    ("commits", "broken"),
    [
        ([], ["lost: a has not begun", "lost: a has not ended"]),
        ([[(BEGIN, "a")]], ["lost: a has not ended"]),
        ([[(BEGIN, "a")], [(BEGIN, "a"), (END, "a")]], ["doubled: a has begun 2 times"]),
        ([[(BEGIN, "a"), (END, "a")], [(END, "a")]], ["doubled: a has ended 2 times"]),
    ],
)
def test_what_was_lost_or_doubled_is_told(
    commits: list[list[tuple[str, str]]], broken: list[str]
) -> None:
    assert list(watch(*commits).check("a")) == broken


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both ends use the journal in memory."""
    monkeypatch.setenv("EVENT_STREAM_TYPE", "memory")


@asynccontextmanager
async def watched(name: str) -> AsyncIterator[tuple[EventStream, TallyWatch]]:
    """Watch a journal that says how ``a`` ended, and look once."""
    settings = StreamSettings(url=f"memory://{name}", name="test")
    async with event_stream(settings) as stream:
        await stream.ensure(1)
        await stream.journal.append(0, commit(END), expected=0, headers={})
        async with TallyWatch(settings, pause=3600) as made:
            await made.until_ended(1)
            yield stream, made


def commit(kind: str) -> bytes:
    return f"[{event('io.flunq.commit', '')},{event(kind, 'a')}]".encode()


@pytest.mark.usefixtures("in_memory")
async def test_who_missed_commits_tells_that_instead_of_what_follows_from_it() -> None:
    async with watched("missed") as (stream, made):
        for expected in (1, 2, 3):
            await stream.journal.append(0, commit(END), expected=expected, headers={})
        await stream.journal.trim(3)
        await made.finish()
        assert (made.commits, made.missed) == (2, 2)
        assert [line.partition(":")[0] for line in made.verdict(["a"])] == ["unseen"]


@pytest.mark.usefixtures("in_memory")
async def test_who_saw_every_commit_tells_what_is_lost() -> None:
    async with watched("seen") as (stream, made):
        await stream.journal.append(0, commit(END), expected=1, headers={})
        await made.finish()
        assert (made.commits, made.missed) == (2, 0)
        assert list(made.verdict(["a"])) == [
            "lost: a has not begun",
            "doubled: a has ended 2 times",
        ]


async def test_an_end_is_noticed_by_who_waits_for_it() -> None:
    made = watch([(BEGIN, "a")])
    made.take(Record(seq=2, partition=0, data=f"[{event('c', '')},{event(END, 'a')}]".encode()))
    await made.until_ended(1)
    assert made.ended["a"] == 1
