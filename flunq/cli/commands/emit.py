"""``flunq emit``: publish CloudEvents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import output, text
from flunq.cli.engine import as_rows, connected
from flunq.cli.options import read_bytes, read_json
from flunq.errors import RejectedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_FILES = (".json", ".jsonl", ".ndjson", ".yaml", ".yml")
_NO_TYPE = re.compile(r"""^[{\["']|[\s\x00-\x1f\x7f]""")
"""JSON, or what no producer of events means as one."""
_SHOWN = 60
_SOURCE = "/flunq/cli"


async def command(
    what: Annotated[
        str, typer.Argument(metavar="TYPE|FILE|-", help="A type, or CloudEvents from a file.")
    ],
    source: Annotated[
        str | None, typer.Option("--source", metavar="URI", help=f"Its source [{_SOURCE}].")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "-i", "--data", metavar="JSON|@FILE|-", help="Its data.", rich_help_panel="Input"
        ),
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="TEXT", help="Its subject.")
    ] = None,
    id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Its id; the same id is one event.")
    ] = None,
) -> None:
    """Publish a CloudEvent and print its id.

    $ flunq emit com.example.order.paid --subject order-123 --data '{"amount": 12}'

    $ flunq emit events.json

    A file holds one event, an array of them, or one a line. The event is durable once the id is
    printed.
    """
    if _is_file(what):
        if any(value is not None for value in (source, data, subject, id)):
            raise UsageError("--source, --data, --subject and --id describe an event of a TYPE")
        events, single = _read(what)
    else:
        _require_type(what)
        event = {"type": what, "source": source or _SOURCE, "subject": subject, "id": id}
        event["data"] = read_json(data, name="data")
        events, single = [{key: value for key, value in event.items() if value is not None}], True
    published = [_complete(event) for event in events]
    async with connected() as client:
        await client.emit(published)
    _show(published, single=single)


def _is_file(what: str) -> bool:
    return what == "-" or what.startswith("@") or what.endswith(_FILES)


def _require_type(what: str) -> None:
    if not what or _NO_TYPE.search(what):
        raise UsageError(
            f"{text.shorten(what, _SHOWN)!r} is no type of an event",
            hint="a type is like com.example.order.paid; whole events come from a file or stdin:"
            " flunq emit event.json, flunq emit -",
        )


def _read(what: str) -> tuple[list[Any], bool]:
    from flunq.core.reading import read_input

    path = Path(what.removeprefix("@"))
    name = "<stdin>" if what == "-" else str(path)
    content = read_bytes(path)
    if _is_lines(content, name):
        return [read_input(line, name="event.json") for line in content.splitlines() if line], False
    value = read_input(content, name=name)
    return (value, False) if isinstance(value, list) else ([value], True)


def _is_lines(content: bytes, name: str) -> bool:
    """Tell NDJSON from one document."""
    if name.endswith((".jsonl", ".ndjson")):
        return True
    lines = [line for line in content.splitlines() if line.strip()]
    return len(lines) > 1 and all(
        line.startswith(b"{") and line.rstrip().endswith(b"}") for line in lines
    )


def _complete(event: Any) -> dict[str, Any]:
    from flunq.client.ids import new_id

    if not isinstance(event, dict):
        raise RejectedError("a CloudEvent is an object", hint="it needs at least a type")
    return {"specversion": "1.0", "id": new_id(), "source": _SOURCE, **event}


def _show(published: Iterable[dict[str, Any]], *, single: bool) -> None:
    rows = [{name: event.get(name) for name in ("id", "type", "source")} for event in published]
    if as_rows():
        output.emit(rows, plain="\n".join(str(row["id"]) for row in rows))
    else:
        output.emit(rows[0] if single else rows)
