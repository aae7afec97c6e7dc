"""How long ended executions are kept: by age, by number, or for ever.

A workflow says it in ``document.metadata.retention``; its newest version speaks for all of them::

    document:
      metadata:
        retention:
          after: {days: 30}
          keep: 1000
"""

from __future__ import annotations

from typing import Any

import msgspec

from flunq.core.duration import DurationError, parse_duration

_KEYS = ("after", "keep")


class RetentionError(ValueError):
    """A retention that cannot be used."""


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept; None is no limit."""

    after: int | None = None
    """Microseconds from the end of an execution to that of its record."""
    keep: int | None = None
    """How many ended executions of a workflow are kept, the newest ones."""

    @property
    def is_for_ever(self) -> bool:
        """Whether nothing is ever dropped."""
        return self.after is None and self.keep is None


FOR_EVER = Retention()


def retention_of(document: Any) -> Retention | None:
    """Return what a document says; None if it says nothing. Raises RetentionError."""
    head = document.get("document") if isinstance(document, dict) else None
    metadata = head.get("metadata") if isinstance(head, dict) else None
    value = metadata.get("retention") if isinstance(metadata, dict) else None
    return None if value is None else read_retention(value)


def read_retention(value: Any) -> Retention:
    """Read ``{after, keep}``; raises RetentionError."""
    if not isinstance(value, dict):
        raise RetentionError("document.metadata.retention is an object with after and keep")
    for name in value:
        if name not in _KEYS:
            raise RetentionError(
                f"document.metadata.retention has no {name!r}; it has {' and '.join(_KEYS)}"
            )
    return Retention(after=_after(value.get("after")), keep=_keep(value.get("keep")))


def retention_for(after: float | None, keep: int | None) -> Retention:
    """Return the retention that settings ask for, ``after`` in seconds."""
    return Retention(after=None if after is None else round(after * 1_000_000), keep=keep)


def share_of(keep: int, partitions: int) -> int:
    """Return how many each partition keeps, so that together they keep at least ``keep``."""
    return -(-keep // partitions)


def _after(value: Any) -> int | None:
    if value is None:
        return None
    try:
        return parse_duration(value).approximate()
    except DurationError as error:
        raise RetentionError(f"after: {error}") from None


def _keep(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise RetentionError(f"keep is a whole number of executions, not {value!r}")
    return value
