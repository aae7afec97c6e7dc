"""The shell of ``flunq sql``: queries of several lines, completion, history, dot commands.

Ctrl-C cancels the query that runs, or the one that is being typed; Ctrl-D leaves.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from typer.exceptions import Exit

from flunq.cli import diagnostics, output, text
from flunq.cli.exits import ExitCode
from flunq.cli.running import run_async
from flunq.cli.session import OutputFormat, current, update
from flunq.cli.sqlshell.completing import Completer
from flunq.cli.sqlshell.lines import Buffer
from flunq.cli.suggest import did_you_mean
from flunq.cli.tables import Column
from flunq.core.amounts import render_duration
from flunq.errors import FlunqError, UsageError
from flunq.store.views import VIEWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.cli.sqlshell.asking import Asking

PROMPT = "flunq> "
MORE = "  ...> "
HISTORY_LENGTH = 2_000
_BARE = frozenset({"help", "quit", "exit"})
"""Words that people type by themselves in other shells."""
_HELP = (
    (".help", "what you are reading"),
    (".tables", "the tables"),
    (".schema [TABLE]", "columns, types and meaning"),
    (".mode [FORMAT]", "table, json, jsonl, yaml or csv"),
    (".vertical on|off|auto", "a line for each column; auto: where a table has no room"),
    (".timer on|off", "say how long a query took"),
    (".export FILE [QUERY]", "write the last query's answer, by its ending: csv, json, parquet"),
    (".quit", "leave; Ctrl-D too"),
)


_VERTICAL = {"on": True, "off": False, "auto": None}


def as_command(line: str) -> str:
    """Return a line as a dot command, or nothing when it belongs to a query."""
    said = line.strip()
    if said.startswith("."):
        return said
    bare = said.rstrip(";").lower()
    return f".{bare}" if bare in _BARE else ""


class Shell:
    """Reads queries until it is told to stop."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._timer = False
        self._last = ""
        self._commands: dict[str, Callable[[str], None]] = {
            ".help": self._help,
            ".tables": self._tables,
            ".schema": self._schema,
            ".mode": self._mode,
            ".vertical": self._set_vertical,
            ".timer": self._set_timer,
            ".export": self._export,
        }

    def run(self) -> int:
        """Read and answer until Ctrl-D or ``.quit``."""
        diagnostics.say("history of everything; end a query with ; - .help explains the rest")
        self._open_history()
        buffer = Buffer()
        try:
            while self._go_on(buffer):
                pass
            return ExitCode.DONE
        finally:
            self._save_history()

    def _go_on(self, buffer: Buffer) -> bool:
        """Read and answer once; Ctrl-C, whenever it comes, only drops what was typed."""
        try:
            return self._step(buffer)
        except KeyboardInterrupt:
            sys.stderr.write("\n")
            buffer.clear()
            return True

    def _step(self, buffer: Buffer) -> bool:
        try:
            line = input(MORE if buffer.pending else PROMPT)
        except EOFError:
            sys.stderr.write("\n")
            return False
        command = "" if buffer.pending else as_command(line)
        if command:
            return self._command(command)
        for query in buffer.add(line):
            self._query(query)
        return True

    def _command(self, line: str) -> bool:
        name, _, rest = line.partition(" ")
        if name in (".quit", ".exit"):
            return False
        command = self._commands.get(name)
        if command is None:
            hint = did_you_mean(name, [*self._commands, ".quit"]) or ".help lists them"
            diagnostics.report(UsageError(f"there is no {name}", hint=hint))
            return True
        self._guarded(lambda: command(rest.strip().rstrip(";")))
        return True

    def _guarded(self, action: Callable[[], None]) -> None:
        """Whatever goes wrong is shown, and the shell goes on."""
        try:
            action()
        except FlunqError as error:
            diagnostics.report(error)
        except Exit:
            diagnostics.say("cancelled")

    def _query(self, sql: str) -> None:
        self._last = sql
        self._guarded(lambda: self._answer(sql))

    def _answer(self, sql: str) -> None:
        done = run_async(self._asking.answer(sql))
        if self._timer:
            rows = "1 row" if done.rows == 1 else f"{done.rows:,} rows"
            diagnostics.say(f"{rows} in {render_duration(done.seconds)}")

    def _help(self, _rest: str) -> None:
        for name, meaning in _HELP:
            output.emit_text(f"{name:<22}{meaning}")

    def _tables(self, _rest: str) -> None:
        rows = [{"table": view.name, "contents": view.doc} for view in VIEWS.values()]
        output.emit(rows, columns=[Column("table", whole=True), Column("contents", whole=True)])

    def _schema(self, rest: str) -> None:
        for name in [rest] if rest else VIEWS:
            view = VIEWS.get(name.lower())
            if view is None:
                hint = did_you_mean(name, list(VIEWS))
                raise UsageError(f"there is no table {name}", hint=hint)
            rows = [{"column": c.name, "type": c.kind, "meaning": c.doc} for c in view.columns]
            output.emit_text(f"{view.name}: {view.doc}")
            output.emit(
                rows, columns=[Column("column", whole=True), Column("type"), Column("meaning")]
            )

    def _mode(self, rest: str) -> None:
        if not rest:
            output.emit_text(str(current().output))
            return
        if rest not in list(OutputFormat):
            raise UsageError(f"there is no mode {rest}", hint=f"one of {', '.join(OutputFormat)}")
        update(output=OutputFormat(rest))

    def _set_vertical(self, rest: str) -> None:
        if rest not in _VERTICAL:
            raise UsageError(
                f".vertical {rest} says nothing", hint=f"one of {', '.join(_VERTICAL)}"
            )
        options = self._asking.options
        self._asking.options = msgspec.structs.replace(options, vertical=_VERTICAL[rest])

    def _set_timer(self, rest: str) -> None:
        if rest not in ("on", "off", ""):
            raise UsageError(f".timer {rest} says nothing", hint=".timer on, or .timer off")
        self._timer = rest == "on" if rest else not self._timer
        diagnostics.say(f"timer {'on' if self._timer else 'off'}")

    def _export(self, rest: str) -> None:
        """Answer a query into a file, in the format that its ending names."""
        name, _, query = rest.partition(" ")
        sql = query.strip() or self._last
        if not name or not sql:
            raise UsageError("what, and where to?", hint=".export FILE.csv QUERY")
        ending = Path(name).suffix.removeprefix(".")
        if ending not in (*OutputFormat, "parquet"):
            known = ", ".join(f".{each}" for each in (*OutputFormat, "parquet") if each != "table")
            raise UsageError(f"{name} names no format", hint=f"it ends in one of {known}")
        before, session = self._asking.options, current().output
        self._asking.options = msgspec.structs.replace(
            before, output_file=Path(name).expanduser(), parquet=ending == "parquet"
        )
        try:
            update(output=OutputFormat(ending) if ending != "parquet" else session)
            self._answer(sql)
        finally:
            self._asking.options = before
            update(output=session)
        if ending != "parquet":
            diagnostics.say(f"written to {name}")

    def _open_history(self) -> None:
        """Prepare line editing, where Python has it and somebody types."""
        if not text.is_terminal(sys.stdin):
            return
        with suppress(ImportError):
            import readline

            readline.set_history_length(HISTORY_LENGTH)
            readline.set_completer(Completer().complete)
            readline.set_completer_delims(" \t\n,;()=<>+-*/'\"")
            readline.parse_and_bind("tab: complete")
            with suppress(OSError):
                readline.read_history_file(history_file())

    def _save_history(self) -> None:
        if not text.is_terminal(sys.stdin):
            return
        with suppress(ImportError, OSError):
            import readline

            path = history_file()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            readline.write_history_file(path)


def history_file() -> Path:
    """Return where the shell remembers queries."""
    from flunq.contexts import config_home

    return config_home() / "sql_history"
