"""Dead letters as JSON, as rows of a table and as text; and the filters that choose among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.cli.rendering.events import task_name
from flunq.cli.tables import Column
from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flunq.core.letters import Letter

LETTER_COLUMNS = (
    Column("id", whole=True),
    Column("time", kind="time"),
    Column("origin"),
    Column("execution"),
    Column("task"),
    Column("attempts", kind="number"),
    Column("reason"),
)
_FIELDS = ("id", "origin", "execution", "workflow", "task", "kind", "reason")


def letter_json(letter: Letter) -> dict[str, Any]:
    """Return a letter; its body is JSON where it is JSON."""
    members: dict[str, Any] = msgspec.to_builtins(letter)
    members["body"] = body_value(letter)
    return members


def letter_row(letter: Letter) -> dict[str, Any]:
    """Return a letter as a row."""
    return {
        "id": letter.id,
        "time": letter.time or None,
        "origin": letter.origin,
        "execution": letter.execution or None,
        "task": task_name(letter.task) if letter.task else None,
        "attempts": letter.attempts or None,
        "reason": letter.reason,
    }


def letter_record(letter: Letter) -> tuple[dict[str, Any], list[Column]]:
    """Return what is known of a letter but its body, as ``name  value`` lines."""
    size = f"{letter.size} bytes" + (", of which only a part is kept" if letter.truncated else "")
    record = {
        "id": letter.id,
        "time": letter.time or None,
        "origin": letter.origin,
        "reason": letter.reason,
        "execution": letter.execution or None,
        "workflow": letter.workflow or None,
        "task": letter.task or None,
        "kind": letter.kind or None,
        "attempts": letter.attempts or None,
        "read from": " ".join(f"{key} {value}" for key, value in letter.place.items()) or None,
        "body": size,
    }
    present = {key: value for key, value in record.items() if value is not None}
    return present, [Column(key, kind="time" if key == "time" else "text") for key in present]


def body_value(letter: Letter) -> Any:
    """Return the body as a value if it is JSON, otherwise as a text."""
    if letter.body is None:
        return None
    try:
        return msgspec.json.decode(letter.body)
    except msgspec.DecodeError:
        return letter.body


def body_text(letter: Letter) -> str:
    """Return the body as a text that is good to edit."""
    try:
        return msgspec.json.format(letter.body or "", indent=2) + "\n"
    except msgspec.DecodeError:
        return letter.body or ""


def chosen(letters: Iterable[Letter], filters: Sequence[str]) -> Iterator[Letter]:
    """Yield the letters that meet all filters: ``field=value``, or ``field~part of it``."""
    wanted = [_filter(text) for text in filters]
    for letter in letters:
        found = ((str(getattr(letter, field)), sign, value) for field, sign, value in wanted)
        if all(value in has if sign == "~" else value == has for has, sign, value in found):
            yield letter


def _filter(text: str) -> tuple[str, str, str]:
    for place, sign in enumerate(text):
        if sign in "=~":
            field = text[:place].strip()
            if field in _FIELDS:
                return field, sign, text[place + 1 :].strip()
            break
    raise UsageError(
        f"{text!r} is no filter of dead letters",
        hint=f"write FIELD=VALUE or FIELD~PART, with one of {', '.join(_FIELDS)}",
    )
