"""Executions, newest first: loaded page by page, refreshed where somebody looks."""

from __future__ import annotations

from bisect import bisect_left
from sys import intern
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flunq.core.protocol import Summary
    from flunq_tui.model.filters import Filter

Key: TypeAlias = tuple[int, str]
NEWEST = "started"
_SHARED = ("namespace", "workflow", "version", "status")
_TAGS = 4_096
"""Sets of tags that are shared; more kinds are hardly repeated."""


def key_of(summary: Summary) -> Key:
    """Return what the list is ordered by."""
    return summary.started_at, summary.id


def workflow_of(summary: Summary) -> str:
    """Return ``namespace/name:version``."""
    return f"{summary.namespace}/{summary.workflow}:{summary.version}"


def duration_of(summary: Summary, now: int) -> int:
    """Return how long it took, or has taken so far."""
    return (summary.ended_at or now) - summary.started_at


def facts_of(summary: Summary, now: int) -> dict[str, Any]:
    """Return what filters compare."""
    return {
        "id": summary.id,
        "status": summary.status,
        "workflow": workflow_of(summary),
        "tag": " ".join(f"{name}={value}" for name, value in summary.tags.items()),
        "parent": summary.parent or "",
        "age": now - summary.started_at,
        "duration": duration_of(summary, now),
    }


FACTS = ("id", "status", "workflow", "tag", "parent", "age", "duration")


class Listing:
    """What is known of a list that may be longer than anybody wants to load."""

    def __init__(self, wanted: Filter, now: Callable[[], int]) -> None:
        self.wanted = wanted
        self.rows: list[Summary] = []
        self.complete = False
        """Whether the oldest execution is among the rows."""
        self.looked_at = 0
        """How many executions were read to find the rows."""
        self._now = now
        self._after: Key | None = None
        self._sort = NEWEST
        self._reverse = False
        self._sorted: list[Summary] | None = None
        self._placed: Sequence[Summary] = ()
        self._places: dict[Key, int] = {}
        """Where the executions are in the order that was asked for last."""
        self._tags: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}

    # -- pages -------------------------------------------------------------------------------------

    @property
    def after(self) -> Key | None:
        """Where the next page begins."""
        return self._after

    def append(self, page: Sequence[Summary], limit: int) -> None:
        """Take the page that follows what is known."""
        self.rows.extend(self._accepted(page))
        self.looked_at += len(page)
        self.complete = len(page) < limit
        if page:
            self._after = key_of(page[-1])
        self._sorted = None

    def replace(self, page: Sequence[Summary], *, after: Key | None, upto: Key | None) -> int:
        """Take news of a stretch of the list; returns how many rows are new at its top.

        ``upto`` is the oldest key that the page speaks for; None: for everything.
        """
        first = 0 if after is None else self._place(after, behind=True)
        last = len(self.rows) if upto is None else self._place(upto, behind=True)
        before = self.rows[first] if first < len(self.rows) else None
        accepted = self._accepted(page)
        fresh = 0
        if after is None and before is not None:
            fresh = sum(1 for each in accepted if key_of(each) > key_of(before))
        self.rows[first:last] = accepted
        self._sorted = None
        return fresh if before is not None else len(accepted)

    def reset(self) -> None:
        """Forget everything."""
        self.rows, self.complete, self._after, self._sorted = [], False, None, None
        self.looked_at = 0

    def _accepted(self, page: Iterable[Summary]) -> list[Summary]:
        if not self.wanted:
            return [self._sharing(each) for each in page]
        now = self._now()
        return [self._sharing(each) for each in page if self.wanted.accepts(facts_of(each, now))]

    def _sharing(self, summary: Summary) -> Summary:
        """Let rows share what is equal: decoded one by one they take three times the memory."""
        share = msgspec.structs.force_setattr
        for member in _SHARED:
            share(summary, member, intern(getattr(summary, member)))
        if summary.tags and len(self._tags) < _TAGS:
            known = self._tags.setdefault(tuple(summary.tags.items()), summary.tags)
            share(summary, "tags", known)
        return summary

    def _place(self, key: Key, *, behind: bool = False) -> int:
        """Return where a key stands; the list descends, so keys are compared negated."""
        index = bisect_left(self.rows, (-key[0], _Descending(key[1])), key=_negated)
        if behind and index < len(self.rows) and key_of(self.rows[index]) == key:
            return index + 1
        return index

    # -- order -------------------------------------------------------------------------------------

    def sort(self, column: str, *, reverse: bool = False) -> None:
        """Order what is shown by a column; ``started`` is the order of the cluster."""
        self._sort, self._reverse, self._sorted = column, reverse, None

    @property
    def order(self) -> tuple[str, bool]:
        """The column that is sorted by, and whether backwards."""
        return self._sort, self._reverse

    @property
    def in_order(self) -> Sequence[Summary]:
        """The rows as they are shown."""
        if self._sort == NEWEST and not self._reverse:
            return self.rows
        if self._sorted is None:
            now = self._now()
            self._sorted = sorted(
                self.rows, key=lambda each: _value(each, self._sort, now), reverse=self._reverse
            )
        return self._sorted

    def locate(self, key: Key) -> int | None:
        """Return at which place an execution is shown."""
        if self.in_order is self.rows:
            index = self._place(key)
            there = index < len(self.rows) and key_of(self.rows[index]) == key
            return index if there else None
        shown = self.in_order
        if self._placed is not shown:
            self._placed = shown
            self._places = {key_of(each): index for index, each in enumerate(shown)}
        return self._places.get(key)


class _Descending(str):
    """A text that sorts backwards."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)

    def __gt__(self, other: str) -> bool:
        return str.__lt__(self, other)


def _negated(summary: Summary) -> tuple[int, _Descending]:
    return -summary.started_at, _Descending(summary.id)


def _value(summary: Summary, column: str, now: int) -> Any:
    if column == "duration":
        return duration_of(summary, now)
    if column == NEWEST:
        return key_of(summary)
    if column == "workflow":
        return workflow_of(summary)
    return getattr(summary, column, "")
