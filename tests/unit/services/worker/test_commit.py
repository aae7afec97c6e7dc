"""Group commit: what happens between an entry and its acknowledgement."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from flunq.log.ports import OutcomeUnknownError, Record, SequenceConflictError, StoreFullError
from flunq.services.worker.commit import (
    MANY_ENTRIES,
    NONCE_HEADER,
    CommitSettings,
    Committer,
    Entry,
    FencedError,
    append_settled,
)
from flunq.testing.clock import VirtualLoop, run_virtually
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from collections.abc import Sequence


class ScriptedJournal:
    """One partition in a list; each append does what the script says next."""

    def __init__(self, *script: str) -> None:
        self.script = list(script)
        self.records: list[Record] = []
        self.appends = 0

    async def append(
        self, partition: int, data: bytes, *, expected: int, headers: dict[str, str]
    ) -> int:
        self.appends += 1
        what = self.script.pop(0) if self.script else "store"
        await elapse(0.001)
        if what == "full":
            raise StoreFullError
        if what != "lose":
            self._store(data, expected, headers)
        if what != "store":
            raise OutcomeUnknownError
        return len(self.records)

    def _store(self, data: bytes, expected: int, headers: dict[str, str]) -> None:
        if expected != len(self.records):
            raise SequenceConflictError
        self.records.append(Record(len(self.records) + 1, data, 0, headers))

    async def last(self, partition: int) -> Record | None:
        return self.records[-1] if self.records else None


def settled(journal: ScriptedJournal, *, nonce: str = "mine") -> int:
    """Append once, to the end."""
    return run_virtually(
        append_settled(journal, 0, b"[]", expected=0, nonce=nonce, epoch=1),  # type: ignore[arg-type]
        VirtualLoop(),
    )


def test_a_stored_but_unanswered_append_is_recognised() -> None:
    journal = ScriptedJournal("store-silently")
    assert settled(journal) == 1
    assert journal.appends == 1


def test_a_lost_append_is_sent_again() -> None:
    journal = ScriptedJournal("lose", "lose")
    assert settled(journal) == 1
    assert journal.appends == 3


def test_a_full_store_is_waited_for() -> None:
    journal = ScriptedJournal("full", "full")
    assert settled(journal) == 1


def test_somebody_elses_write_fences_the_writer_off() -> None:
    journal = ScriptedJournal()
    journal.records.append(Record(1, b"[]", 0, {NONCE_HEADER: "theirs"}))
    with pytest.raises(FencedError):
        settled(journal)


class Bench:
    """A committer on a scripted journal."""

    def __init__(self, journal: ScriptedJournal, *, max_bytes: int = 1000) -> None:
        self.journal = journal
        self.released: list[tuple[int, int]] = []
        self.due = 0
        """How many entries are on their way, one in each turn of the loop."""
        settings = CommitSettings(
            partition=0, source="s", tenant="t", node="n", epoch=1, max_bytes=max_bytes
        )
        self.committer = Committer(
            settings,
            journal,  # type: ignore[arg-type]
            position=0,
            number=0,
            aftermath=self,
            timestamp=lambda: "2026-01-01T00:00:00Z",
            bring_more=lambda: self.due > 0,
            turn=asyncio.Semaphore(1),
        )

    def facts(self, batch: Sequence[Entry], _number: int) -> dict[str, Any]:
        return {"entries": len(batch)}

    def follow(self, sequence: int, batch: Sequence[Entry]) -> None:
        self.released.append((sequence, len(batch)))

    async def store_blobs(self, _batch: Sequence[Entry]) -> None:
        await asyncio.sleep(0)

    async def storm(self, due: int) -> None:
        """Let entries come one after the other; return when all of them are committed."""
        running = asyncio.create_task(self.committer.run())
        self.due = due
        while self.due:
            self.due -= 1
            self.committer.add(Entry(events=[b"{}"]))
            await asyncio.sleep(0)
        await self.committer.flushed()
        running.cancel()

    async def commit(self, waves: list[int], size: int = 10) -> list[list[dict[str, Any]]]:
        """Add waves of entries, a moment apart; return the committed batches."""
        running = asyncio.create_task(self.committer.run())
        for wave in waves:
            for _ in range(wave):
                self.committer.add(Entry(events=[json.dumps({"x": "y" * size}).encode()]))
            await elapse(0.0001)
        await self.committer.flushed()
        running.cancel()
        return [json.loads(record.data) for record in self.journal.records]


def run(bench: Bench, waves: list[int], size: int = 10) -> list[list[dict[str, Any]]]:
    """Run a bench in virtual time."""
    return run_virtually(bench.commit(waves, size), VirtualLoop())


def test_what_comes_while_a_commit_is_under_way_shares_the_next() -> None:
    bench = Bench(ScriptedJournal())
    run(bench, [1, 5, 3])
    assert bench.released == [(1, 1), (2, 8)]


def test_a_commit_waits_for_what_is_due_already() -> None:
    bench = Bench(ScriptedJournal(), max_bytes=100_000)
    run_virtually(bench.storm(30), VirtualLoop())
    assert bench.released == [(1, 30)]


def test_a_commit_does_not_wait_for_all_of_a_storm() -> None:
    bench = Bench(ScriptedJournal(), max_bytes=100_000)
    run_virtually(bench.storm(3 * MANY_ENTRIES), VirtualLoop())
    assert bench.released[0] == (1, MANY_ENTRIES)
    assert sum(count for _, count in bench.released) == 3 * MANY_ENTRIES


def test_a_commit_begins_with_its_own_event_and_counts() -> None:
    batches = run(Bench(ScriptedJournal()), [1, 1])
    assert [batch[0]["data"]["number"] for batch in batches] == [1, 2]
    assert batches[0][0]["data"]["epoch"] == 1


def test_a_large_batch_is_split_between_entries() -> None:
    bench = Bench(ScriptedJournal(), max_bytes=250)
    run(bench, [4], size=100)
    assert bench.released == [(1, 2), (2, 2)]


def test_effects_are_released_once_though_the_answer_was_lost() -> None:
    bench = Bench(ScriptedJournal("store-silently", "lose"))
    run(bench, [2, 2])
    assert sum(count for _, count in bench.released) == 4
    assert len(bench.journal.records) == len(bench.released)
