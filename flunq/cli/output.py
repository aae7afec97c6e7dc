"""The only writer to stdout: data as a table, JSON, JSON lines, YAML or CSV, and nothing else.

``emit`` prints one value in the format that ``-o`` chose; ``Lines`` prints a stream. Field names
are those of the API. In every format the data is harmless to a terminal.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from flunq.cli import tables, text
from flunq.cli.session import OutputFormat, current
from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from flunq.cli.tables import Column

_INDENT = 2


def emit(
    value: Any,
    *,
    columns: Sequence[Column] = (),
    plain: str | None = None,
    lines: Iterable[str] | None = None,
) -> None:
    """Print one document.

    A list of objects becomes a table, an object becomes ``name  value`` lines; ``plain`` is the
    text to print for ``-o table`` where a table would not do. ``lines`` are printed as they are,
    with their colours: whoever made them has made the data in them harmless.
    """
    match current().output:
        case OutputFormat.JSON:
            _write(json_text(value))
        case OutputFormat.JSONL:
            for item in value if isinstance(value, (list, tuple)) else [value]:
                _write(compact_json(item))
        case OutputFormat.YAML:
            _write(_yaml_text(value))
        case OutputFormat.CSV:
            _write(_csv_text(value, columns))
        case OutputFormat.TABLE:
            if lines is not None:
                _write("\n".join(lines))
            else:
                _emit_table(value, columns, plain)
    flush()


def emit_text(content: str) -> None:
    """Print prose, such as a help topic or a script for the shell, whatever ``-o`` says."""
    _write(content.rstrip("\n"))
    flush()


def emit_raw(content: str) -> None:
    """Print data byte for byte and without a final newline, as ``-o table`` of a string needs."""
    stream().write(content)
    flush()


class Lines:
    """A stream of objects: JSON lines, or one line of text for each."""

    def __init__(self, line: Callable[[Mapping[str, Any]], str]) -> None:
        if current().output not in (OutputFormat.TABLE, OutputFormat.JSONL):
            raise UsageError(
                f"a stream cannot be printed as {current().output}",
                hint="use -o jsonl for one object a line",
            )
        self._json = current().output is OutputFormat.JSONL
        self._line = line

    def write(self, item: Mapping[str, Any]) -> None:
        """Print one object and flush, so that a pipe sees it at once."""
        _write(compact_json(item) if self._json else self._line(item))
        flush()


def emit_problem(problem: Mapping[str, Any]) -> None:
    """Print an RFC 9457 object, unless the one JSON document was printed already."""
    if current().output is OutputFormat.JSONL:
        _write(compact_json(problem))
    elif not _state.document_written:
        _write(json_text(problem))
    flush()


def json_text(value: Any) -> str:
    """Return indented JSON that is harmless to a terminal."""
    import msgspec.json  # --help must not pay for it

    encoded = msgspec.json.encode(value, enc_hook=str)
    return text.escape_json(msgspec.json.format(encoded, indent=_INDENT).decode())


def compact_json(value: Any) -> str:
    """Return JSON on one line that is harmless to a terminal."""
    import msgspec.json

    return text.escape_json(msgspec.json.encode(value, enc_hook=str).decode())


def begin() -> None:
    """Prepare stdout for this invocation."""
    _state.document_written, _state.stream = False, None
    _use_utf8()


def reserve_stdout() -> None:
    """Let all that others print in this process, and programs that they run, go to stderr.

    It stays so to the end: a thread of theirs may outlive the command.
    """
    shared = sys.stdout
    shared.flush()
    try:
        number, elsewhere = shared.fileno(), sys.stderr.fileno()
    except (AttributeError, OSError):  # stderr is closed, or they are no files of the system
        _state.stream = shared
    else:
        own = os.dup(number)
        _state.stream = os.fdopen(own, "w", encoding=shared.encoding, errors=shared.errors)
        os.dup2(elsewhere, number)
    sys.stdout = sys.stderr


def stream() -> TextIO:
    """Return where data goes."""
    return _state.stream or sys.stdout


def flush() -> None:
    """Hand everything to the reader."""
    stream().flush()


class _State:
    """What this module remembers of an invocation."""

    document_written = False
    """Whether stdout already carries a document, which a JSON reader wants to be the only one."""
    stream: TextIO | None = None
    """Where data goes if no longer to ``sys.stdout``."""


_state = _State()


def _use_utf8() -> None:
    """Data on a pipe is UTF-8 whatever the locale; a terminal gets what it can show."""
    if sys.stdout is None:  # it was closed by whoever started us, and wants nothing
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end
    stdout: Any = sys.stdout
    if not hasattr(stdout, "reconfigure"):
        return
    if text.is_terminal(stdout):
        stdout.reconfigure(errors="backslashreplace")
    else:
        stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")


def _write(content: str) -> None:
    _state.document_written = True
    stream().write(content + "\n")


def _emit_table(value: Any, columns: Sequence[Column], plain: str | None) -> None:
    if plain is not None:
        _write(text.neutralise_lines(plain))
        return
    if isinstance(value, dict):
        lines = tables.render_record(value, columns)
    elif _is_rows(value):
        lines = tables.render(value, columns or tables.columns_of(value))
    else:
        lines = [text.neutralise_lines(value) if isinstance(value, str) else json_text(value)]
    for line in lines:
        _write(line)


def _is_rows(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(row, dict) for row in value)


def _yaml_text(value: Any) -> str:
    import msgspec
    import yaml  # only when asked for

    builtin = msgspec.to_builtins(value, enc_hook=str)
    readable = yaml.safe_dump(builtin, sort_keys=False, allow_unicode=True)
    if text.has_unsafe(readable):
        readable = yaml.safe_dump(builtin, sort_keys=False, allow_unicode=False)
    return readable.removesuffix("\n").removesuffix("\n...")


def _csv_text(value: Any, columns: Sequence[Column]) -> str:
    import csv
    import io

    rows = value if isinstance(value, (list, tuple)) else [value]
    if not _is_rows(rows):
        raise UsageError("this value is not a table", hint="use -o json")
    keys = [column.key for column in columns or tables.columns_of(rows)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(keys)
    writer.writerows([_csv_cell(row.get(key)) for key in keys] for row in rows)
    content = buffer.getvalue().rstrip("\n")
    return text.neutralise_lines(content) if text.is_terminal(stream()) else content


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else compact_json(value)
