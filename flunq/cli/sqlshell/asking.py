"""One query: find out what to read, run it in a child process, print what comes."""

from __future__ import annotations

import shutil
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.cli import diagnostics, text
from flunq.cli.options import parse_time
from flunq.cli.running import run_async
from flunq.cli.session import settings
from flunq.cli.sqlshell.printing import Printer
from flunq.cli.tables import render_time
from flunq.errors import UnavailableError, UsageError
from flunq.store.lake import lake_folder, read_manifest
from flunq.store.query import QueryProcess
from flunq.store.query_job import Done, Job, Limits, Question, Sources
from flunq.store.query_sources import archive
from flunq.store.tail import collect_tail, scratch_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from flunq.config import Loaded
    from flunq.store.query_job import Reply


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line said about queries."""

    parameters: dict[str, Any] = {}
    as_of_seq: int | None = None
    as_of_time: int | None = None
    max_rows: int = 0
    timeout: float = 60.0
    memory: int = 1 << 30
    archive_only: bool = False
    export: Path | None = None
    """A file of ``flunq export``, which is all that there is."""
    parquet: bool = False
    output_file: Path | None = None
    vertical: bool | None = None
    """Whether each column of an answer has a line of its own; None: where a table has no room."""


def read_parameters(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``name=value``: what is JSON and no array or object is such, anything else is text."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"{pair!r} is no parameter", hint="write -p name=value")
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return text if isinstance(value, (dict, list)) else value


def read_as_of(value: str | None) -> tuple[int | None, int | None]:
    """Return the journal sequence or the moment in microseconds that ``--as-of`` means."""
    if value is None:
        return None, None
    if value.isdigit():
        return int(value), None
    return None, int(parse_time(value).timestamp() * 1_000_000)


class Asking:
    """Answers queries with the same options."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._loaded: Loaded = settings()
        self._told = False

    def once(self, sql: str) -> int:
        """Answer one query; Ctrl-C ends it, and its process, at once."""
        run_async(self.answer(sql))
        return 0

    async def answer(self, sql: str) -> Done:
        """Answer one query on stdout or into the file."""
        if not sql.strip():
            raise UsageError("there is no query", hint="try: flunq sql --schema")
        async with AsyncExitStack() as stack:
            if self._is_elsewhere():
                done = await self._remotely(stack, sql)
            else:
                done = await self._here(stack, sql)
        if done.gap is not None:
            diagnostics.warn(str(done.gap), "see why: flunq lake status")
        if done.more:
            diagnostics.say(f"{done.rows:,} rows shown; there are more: -n 0 for all")
        return done

    def _is_elsewhere(self) -> bool:
        """Tell whether the cluster's archive is on another machine: its data folder is not named.

        The default folder may well be there, but it is another cluster's.
        """
        loaded = self._loaded
        named = loaded.origins["data"].source != "default"
        alone = self.options.archive_only or self.options.export is not None
        return not (named or alone or loaded.settings.nats_url is None)

    async def _here(self, stack: AsyncExitStack, sql: str) -> Done:
        # The child imports DuckDB while this process asks the cluster.
        process = await stack.enter_async_context(QueryProcess())
        folder = stack.enter_context(scratch_folder())
        sources = await self._sources(stack, folder, sql)
        parquet = folder / "answer.parquet" if self.options.parquet else None
        job = Job(
            sources=sources,
            question=self._question(sql),
            limits=self._limits(),
            parquet_path=str(parquet) if parquet else None,
        )
        done = await self._print(process.answer(job))
        if parquet is not None:
            self._hand_over(parquet)
        return done

    async def _remotely(self, stack: AsyncExitStack, sql: str) -> Done:
        from flunq.cli.engine import keep_logs_away
        from flunq.client import connect
        from flunq.client.sql import ask_cluster

        if self.options.parquet:
            raise UsageError(
                "Parquet is written where the archive is", hint="use -o csv, or run it there"
            )
        keep_logs_away()
        client = await stack.enter_async_context(connect(self._loaded))
        return await self._print(ask_cluster(client, self._question(sql), self._limits()))

    async def _print(self, replies: AsyncIterator[Reply]) -> Done:
        printer = Printer(self.options.output_file, vertical=self.options.vertical)
        done = Done(rows=0)
        try:
            async for reply in replies:
                done = _take(printer, reply, done)
        finally:
            printer.close()
        return done

    def _limits(self) -> Limits:
        return Limits(memory=self.options.memory, seconds=self.options.timeout)

    def _question(self, sql: str) -> Question:
        options = self.options
        return Question(
            sql=sql,
            parameters=options.parameters,
            max_rows=options.max_rows,
            as_of_seq=options.as_of_seq,
            as_of_time=options.as_of_time,
            parquet=options.parquet,
        )

    async def _sources(self, stack: AsyncExitStack, scratch: Path, sql: str) -> Sources:
        if self.options.export is not None:
            from flunq.store.exports import export_sources

            return export_sources(self.options.export, scratch)
        loaded = self._loaded
        tenant = loaded.settings.tenant
        folder = lake_folder(loaded.settings.data, tenant)
        if self.options.archive_only:
            return self._archived(folder, tenant)
        from flunq.cli.engine import keep_logs_away
        from flunq.client import connect
        from flunq.client.sql import gather

        keep_logs_away()
        try:
            client = await stack.enter_async_context(connect(loaded))
        except UnavailableError as error:
            return self._without_cluster(folder, tenant, error)
        tail = stack.enter_context(collect_tail(scratch))
        return await gather(client, folder, tail, sql)

    def _without_cluster(self, folder: Path, tenant: str, error: UnavailableError) -> Sources:
        if read_manifest(folder) is None:
            raise error
        return self._archived(folder, tenant)

    def _archived(self, folder: Path, tenant: str) -> Sources:
        found = archive(folder, tenant)
        if found is None:
            raise UnavailableError("there is no archive yet", where=str(folder))
        if not self._told:
            self._told = True
            when = render_time(found.created_at / 1e6)
            diagnostics.say(f"no cluster was asked: this is the archive alone, written {when}")
        return found.sources

    def _hand_over(self, made: Path) -> None:
        """Move the Parquet file where it was asked for, or write it to stdout."""
        target = self.options.output_file
        if target is not None:
            shutil.copyfile(made, target)
            diagnostics.say(f"written to {target}")
            return
        if text.is_terminal(sys.stdout):
            raise UsageError("Parquet is nothing for a terminal", hint="add --output-file FILE")
        with made.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _take(printer: Printer, reply: Reply, done: Done) -> Done:
    if isinstance(reply, Done):
        return reply
    printer.take(reply)
    return done
