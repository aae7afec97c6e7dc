"""Small histories in a lake, a tail or both, and queries over them."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec

from flunq.core.execution.commands import Failure, Start
from flunq.store.columns import COLUMNS, ORDER, encode_rows, rows_of, rows_sql
from flunq.store.query import QueryProcess
from flunq.store.query_job import Chunk, Header, Job, Limits, Question, Sources
from tests.support.driver import BASE, Driver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from flunq.core.events import CloudEvent

Commit = tuple[int, bytes]
FLAKY = """
do:
  - charge:
      try:
        - pay: {call: pay, with: {amount: "${ .amount }"}}
      catch:
        errors: {with: {status: 503}}
        retry: {delay: {seconds: 2}, limit: {attempt: {count: 5}}}
  - pause: {wait: {seconds: 3}}
  - never: {if: "${ false }", set: {x: 1}}
  - done: {set: {paid: "${ .amount }"}}
"""
BUSY = Failure(type=BASE + "communication", status=503, title="Busy", detail="try later")
BROKEN = Failure(type=BASE + "runtime", status=500, title="Broken", detail="no money")


class Histories:
    """Collects executions as journal records: a commit for each, in a total order."""

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self.events: dict[str, list[CloudEvent]] = {}
        self._numbers = count(1)

    def run(
        self,
        execution: str,
        text: str = FLAKY,
        *,
        input: Any = None,
        outcomes: Sequence[Any] = (),
        workflow: str = "test/sample:1.0.0",
        at: int | None = None,
        tags: dict[str, str] | None = None,
        finish: bool = True,
    ) -> Driver:
        """Run a document; each event is a commit of its own."""
        left = list(outcomes)
        driver = Driver(text, input, lambda _task: left.pop(0) if left else {"ok": True})
        driver.now = at if at is not None else driver.now
        driver.start = Start(id="x1", workflow=driver.start.workflow, input=input, tags=tags or {})
        driver = driver.run() if finish else driver.begin()
        self.add([_renamed(event, execution, workflow) for event in driver.events])
        return driver

    def add(self, events: Sequence[CloudEvent]) -> None:
        """Append events, each in its own commit."""
        for event in events:
            self.events.setdefault(event.subject, []).append(event)
            head = (
                b'{"id":"c","source":"/x","type":"io.flunq.commit","time":"2026-01-01T00:00:00Z"}'
            )
            self.commits.append((next(self._numbers), b"[%s,%s]" % (head, _json(event))))

    def sources(self, folder: Path, *, lake: int, overlap: int = 0, files: int = 1) -> Sources:
        """Put the first ``lake`` commits into files, the rest and ``overlap`` into the tail."""
        folder.mkdir(parents=True, exist_ok=True)
        stored, rest = self.commits[:lake], self.commits[max(lake - overlap, 0) :]
        paths = [
            write_parquet(folder / f"part-{number}.parquet", stored[number::files])
            for number in range(files)
            if stored[number::files]
        ]
        tail = folder / "tail.jsonl"
        tail.write_bytes(lines_of(rest))
        through = stored[-1][0] if stored else 0
        return Sources(tenant="default", files=paths, through=through, tail=str(tail))


_json: Callable[[Any], bytes] = msgspec.json.Encoder().encode


def _renamed(event: CloudEvent, execution: str, workflow: str) -> CloudEvent:
    return msgspec.structs.replace(
        event, subject=execution, id=f"{execution}:{event.seq}", workflow=workflow
    )


def lines_of(commits: Sequence[Commit]) -> bytes:
    """Return commits as rows."""
    rows = [row for seq, data in commits for row in rows_of(data, partition=0, journal_seq=seq)]
    return encode_rows(rows)


def write_parquet(path: Path, commits: Sequence[Commit]) -> str:
    """Write commits as a file of the lake."""
    lines = path.with_suffix(".jsonl")
    lines.write_bytes(lines_of(commits))
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT {', '.join(COLUMNS)} FROM ({rows_sql(str(lines))}) ORDER BY {ORDER}) "
            f"TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
        )
    lines.unlink()
    return str(path)


async def ask(
    sources: Sources, sql: str, *, seconds: float = 20.0, memory: int = 1 << 30, **more: Any
) -> list[dict[str, Any]]:
    """Return the rows of a query."""
    limits = Limits(seconds=seconds, memory=memory)
    job = Job(sources=sources, question=Question(sql=sql, **more), limits=limits)
    names: list[str] = []
    rows: list[dict[str, Any]] = []
    async with QueryProcess() as process:
        async for reply in process.answer(job):
            if isinstance(reply, Header):
                names = reply.names
            elif isinstance(reply, Chunk):
                rows += [dict(zip(names, row, strict=True)) for row in reply.rows]
    return rows
