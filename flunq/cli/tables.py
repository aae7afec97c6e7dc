"""Borderless tables: upper-case headings, aligned cells, whole lines on a pipe."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from flunq.cli import text
from flunq.cli.session import TimeFormat, current
from flunq.core.amounts import largest_unit, render_bytes, render_duration, to_come

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_GAP = "  "
_NARROWEST = 8
_READABLE = 16
"""So many cells of a text have to be seen for a table to be of use."""
Kind = Literal["text", "status", "time", "duration", "bytes", "number"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: which member it shows and how."""

    key: str
    heading: str = ""
    kind: Kind = "text"
    whole: bool = False
    """Never shortened, as an id must not be."""
    spare: bool = False
    """Left out where the terminal has no room for it."""

    @property
    def title(self) -> str:
        """The upper-case heading."""
        return (self.heading or self.key.replace("_", " ")).upper()

    @property
    def right(self) -> bool:
        """True when the cells are numbers."""
        return self.kind in ("number", "bytes", "duration")


def columns_of(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Derive the columns from the members of the rows, in order of appearance."""
    return [Column(key) for key in dict.fromkeys(key for row in rows for key in row)]


def render(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> Iterable[str]:
    """Return the lines of a table."""
    columns = _readable(rows, columns)
    grid = _grid(rows, columns)
    widths = _fit(_natural(grid, columns), columns)
    yield _line(
        [column.title for column in columns], columns, widths, styles=["bold"] * len(widths)
    )
    for cells in grid:
        styles = [
            text.status_style(value) if column.kind == "status" else ""
            for value, column in zip(cells, columns, strict=True)
        ]
        yield _line(cells, columns, widths, styles)


def is_readable(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> bool:
    """Tell whether a terminal has room for a table in which something can be read."""
    if not text.is_terminal(sys.stdout):
        return True
    natural = _natural(_grid(rows, columns), columns)
    least = [
        min(width, max(_READABLE, len(column.title))) if _is_flexible(column) else width
        for width, column in zip(natural, columns, strict=True)
    ]
    return sum(least) + len(_GAP) * (len(least) - 1) <= shutil.get_terminal_size().columns


def render_records(rows: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> Iterable[str]:
    """Return the lines of records one below the other, each with a line per column."""
    for number, row in enumerate(rows, 1):
        yield text.paint(f"-- {number} --", "dim", sys.stdout)
        yield from render_record(row, columns)


def render_record(record: Mapping[str, Any], columns: Sequence[Column] = ()) -> Iterable[str]:
    """Return one ``name  value`` line per member."""
    kinds = {column.key: column for column in columns}
    shown = [kinds.get(key, Column(key)) for key in record] if not columns else list(columns)
    width = max((text.cell_width(column.key) for column in shown), default=0)
    for column in shown:
        value = cell(record.get(column.key), column.kind)
        style = text.status_style(value) if column.kind == "status" else ""
        name = text.neutralise(column.key).ljust(width)
        yield f"{text.paint(name, 'bold', sys.stdout)}{_GAP}{text.paint(value, style, sys.stdout)}"


def cell(value: Any, kind: Kind = "text") -> str:
    """Render one value as harmless text of one line."""
    if value is None:
        return "-"
    if kind == "time":
        return render_time(value)
    if kind == "duration":
        return render_duration(float(value))
    if kind == "bytes":
        return render_bytes(int(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (dict, list, tuple)):
        from flunq.cli.output import compact_json  # a table of plain text needs no JSON

        return compact_json(value)
    return text.neutralise(str(value))


def render_time(value: Any) -> str:
    """Render a moment as ``--time`` asks: ``3m ago``, RFC 3339 or as it is stored."""
    style = current().time
    if style is TimeFormat.RAW:
        return text.neutralise(str(value))
    try:
        moment = _moment(value)
    except (ValueError, OverflowError, OSError):
        return text.neutralise(str(value))
    if style is TimeFormat.ISO:
        return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return relative(moment.timestamp() - time.time())


def relative(seconds: float) -> str:
    """Render a distance in time from now: ``in 5s``, ``3m ago``, ``now``."""
    if abs(seconds) < 1:
        return "now"
    return f"in {to_come(seconds)}" if seconds > 0 else f"{largest_unit(-seconds)} ago"


def _moment(value: Any) -> datetime:
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC)
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _grid(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> list[list[str]]:
    return [[cell(row.get(column.key), column.kind) for column in columns] for row in rows]


def _readable(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> Sequence[Column]:
    """Return the columns without the spare ones, if these would take room from the others."""
    natural = _natural(_grid(rows, columns), columns)
    cut = any(
        fitting < width and not column.spare
        for fitting, width, column in zip(_fit(natural, columns), natural, columns, strict=True)
    )
    return [column for column in columns if not column.spare] if cut else columns


def _natural(grid: Sequence[Sequence[str]], columns: Sequence[Column]) -> list[int]:
    return [
        max([len(column.title), *(text.cell_width(cells[place]) for cells in grid)])
        for place, column in enumerate(columns)
    ]


def _fit(widths: Sequence[int], columns: Sequence[Column]) -> list[int]:
    """Return the widths that a terminal has room for; a pipe has room for everything."""
    fitting = list(widths)
    if text.is_terminal(sys.stdout):
        _squeeze(fitting, columns, shutil.get_terminal_size().columns)
    return fitting


def _squeeze(widths: list[int], columns: Sequence[Column], limit: int) -> None:
    """Take cells from the widest column that may be shortened until the line fits."""
    flexible = [place for place, column in enumerate(columns) if _is_flexible(column)]
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - limit
    while excess > 0 and flexible:
        widest = max(flexible, key=widths.__getitem__)
        if widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1
        excess -= 1


def _is_flexible(column: Column) -> bool:
    return column.kind == "text" and not column.whole


def _line(
    cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int], styles: Sequence[str]
) -> str:
    last = len(cells) - 1
    parts = []
    for place, (value, column) in enumerate(zip(cells, columns, strict=True)):
        short = text.shorten(value, widths[place])
        padding = " " * (widths[place] - text.cell_width(short))
        painted = text.paint(short, styles[place], sys.stdout)
        tail = "" if place == last else padding
        parts.append(padding + painted if column.right else painted + tail)
    return _GAP.join(parts).rstrip(" ")
