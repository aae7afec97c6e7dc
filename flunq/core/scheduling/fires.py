"""The fires of a schedule that are known in advance, and the ids of the executions they start."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from flunq.core.duration import FOREVER, SECOND, Duration
from flunq.core.events import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flunq.core.scheduling.plan import Plan

_LONG_MONTH, _SHORT_MONTH = 31 * 86_400 * SECOND, 28 * 86_400 * SECOND
_NEAREST = (1, 60, 3_600, 86_400, 32 * 86_400, 367 * 86_400)
"""How far back the newest fire is looked for, step by step, in seconds."""


def fires(plan: Plan, since: int, after: int, limit: int, *, upto: int | None = None) -> list[int]:
    """Return up to ``limit`` fires later than ``after``, in order, none after ``upto``.

    ``every`` counts from ``since``, the moment at which the schedule came into force.
    """
    found: list[int] = []
    if plan.cron is not None:
        found += plan.cron.fires(after, limit, upto=upto)
    if plan.every is not None:
        found += _intervals(plan.every, since, after, limit, upto)
    return found if plan.cron is None or plan.every is None else sorted(set(found))[:limit]


def next_fire(plan: Plan, since: int, after: int) -> int | None:
    """Return the first fire later than ``after``."""
    found = fires(plan, since, after, 1)
    return found[0] if found else None


def newest_fire(plan: Plan, since: int, after: int, upto: int) -> int | None:
    """Return the last fire with ``after < fire <= upto``."""
    for seconds in _NEAREST:
        begin = max(after, upto - seconds * SECOND)
        newest = _last_of(plan, since, begin, upto)
        if newest is not None or begin == after:
            return newest
    return _last_of(plan, since, after, upto)


def _last_of(plan: Plan, since: int, after: int, upto: int) -> int | None:
    newest: int | None = None
    while page := fires(plan, since, after if newest is None else newest, 1_000, upto=upto):
        newest = page[-1]
    return newest


def _intervals(
    interval: Duration, since: int, after: int, limit: int, upto: int | None
) -> list[int]:
    # Begin at or before the fire that is looked for, however long the months between are.
    month = _LONG_MONTH if after >= since else _SHORT_MONTH
    number = (after - since) // (interval.micros + interval.months * month)
    while _nth(interval, since, number) <= after:
        number += 1
    found: list[int] = []
    while len(found) < limit:
        due = _nth(interval, since, number)
        if due >= FOREVER or (upto is not None and due > upto):
            break
        found.append(due)
        number += 1
    return found


def _nth(interval: Duration, since: int, number: int) -> int:
    """Return the n-th fire, measured from the first so that months do not drift."""
    return Duration(interval.micros * number, interval.months * number).after(since)


def fire_id(namespace: str, name: str, due: int) -> str:
    """Return the id of the execution that a fire starts, the same whenever it is computed."""
    digest = blake2b(f"{namespace}/{name}|{due}".encode(), digest_size=4).hexdigest()
    return f"{name}-{_stamp(due)}-{digest}"


def events_id(namespace: str, name: str, keys: Iterable[str]) -> str:
    """Return the id of the execution that a set of events starts."""
    text = "\n".join([f"{namespace}/{name}", *sorted(keys)])
    return f"{name}-{blake2b(text.encode(), digest_size=12).hexdigest()}"


def _stamp(due: int) -> str:
    """Return a moment as part of an id: whole seconds where that is exact."""
    day, _, clock = timestamp(due).rstrip("Z").partition("T")
    second, _, fraction = clock.partition(".")
    short = f"{day.replace('-', '')}T{second.replace(':', '')}"
    return short if fraction == "000000" else f"{short}.{fraction}"
