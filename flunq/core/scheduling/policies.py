"""The policies of a schedule: what is done about runs that meet and about fires that were missed.

They come from ``document.metadata.schedule`` and from whoever sets them later.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

from flunq.core.duration import FOREVER, MINUTE, DurationError, parse_duration

Overlap = Literal["allow", "skip", "queue", "cancel"]
Missed = Literal["all", "last", "none"]
OVERLAPS: tuple[Overlap, ...] = get_args(Overlap)
MISSED: tuple[Missed, ...] = get_args(Missed)
CATCH_UP = MINUTE
"""How late a fire may be made up for, unless somebody says otherwise."""
_KEYS = ("timezone", "overlap", "catchUp", "missed")


class ScheduleError(ValueError):
    """A schedule or one of its policies cannot be used."""


class Overrides(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Policies that somebody set; None is what the document says."""

    timezone: str | None = None
    overlap: Overlap | None = None
    catch_up: int | None = None
    """Microseconds."""
    missed: Missed | None = None


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """The policies in force."""

    timezone: str = "UTC"
    overlap: Overlap = "allow"
    catch_up: int = CATCH_UP
    missed: Missed = "all"


def merged(*sources: Overrides) -> Policies:
    """Return the policies that several sources give; the last one wins."""
    chosen = {
        name: getattr(source, name)
        for source in sources
        for name in Overrides.__struct_fields__
        if getattr(source, name) is not None
    }
    return Policies(**chosen)


def laid_over(first: Overrides, second: Overrides) -> Overrides:
    """Return the first with what the second sets."""
    changes = {
        name: getattr(second, name)
        for name in Overrides.__struct_fields__
        if getattr(second, name) is not None
    }
    return msgspec.structs.replace(first, **changes)


def settings_of(document: dict[str, Any]) -> Any:
    """Return ``document.metadata.schedule`` of a document."""
    head = document.get("document")
    metadata = head.get("metadata") if isinstance(head, dict) else None
    return metadata.get("schedule") if isinstance(metadata, dict) else None


def read_settings(value: Any) -> Overrides:
    """Read ``document.metadata.schedule``; raise ScheduleError."""
    if value is None:
        return Overrides()
    if not isinstance(value, dict):
        raise ScheduleError("document.metadata.schedule is an object of policies")
    for name in value:
        if name not in _KEYS:
            raise ScheduleError(
                f"document.metadata.schedule has no {name!r}; it has {', '.join(_KEYS)}"
            )
    return Overrides(
        timezone=_text(value.get("timezone")),
        overlap=one_of(OVERLAPS, value.get("overlap"), "overlap"),
        catch_up=_length(value.get("catchUp")),
        missed=one_of(MISSED, value.get("missed"), "missed"),
    )


def one_of(words: tuple[Any, ...], value: Any, name: str) -> Any:
    """Return a word of a list, or None; raise ScheduleError."""
    if value is not None and value not in words:
        raise ScheduleError(f"{name} is one of {', '.join(words)}, not {value!r}")
    return value


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ScheduleError("timezone is a name such as Europe/Berlin")
    return value


def _length(value: Any) -> int | None:
    if value is None:
        return None
    try:
        return min(parse_duration(value).approximate(), FOREVER)
    except DurationError as error:
        raise ScheduleError(f"catchUp: {error}") from None
