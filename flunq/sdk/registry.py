"""Which executors are installed: built-in ones and a stranger's come through the same door."""

from __future__ import annotations

import inspect
import logging
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

import msgspec

from flunq.errors import NotFoundError, UsageError
from flunq.sdk.executor import Executor

if TYPE_CHECKING:
    from collections.abc import Iterable

GROUP = "flunq.executors"

_LOGGER = logging.getLogger("flunq.plugins")


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """One installed executor, usable or not."""

    name: str
    target: str
    """``module:Class``"""
    distribution: str = ""
    version: str = ""
    kinds: tuple[str, ...] = ()
    problem: str | None = None
    """Why it cannot be used."""


def executor_names() -> list[str]:
    """Return the names of the installed executors without importing any."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def load_executor(name: str) -> type[Executor]:
    """Import one executor; the caller has no other, so a broken one raises UsageError."""
    for point in entry_points(group=GROUP, name=name):
        return _load(point)
    raise NotFoundError(
        f"no executor called {name!r} is installed",
        hint=f"installed are: {', '.join(executor_names()) or 'none'}",
    )


def load_executors(
    only: Iterable[str] | None = None,
) -> tuple[dict[str, type[Executor]], list[Plugin]]:
    """Import all executors, or those named; a broken one is a warning and a row, no more."""
    wanted = None if only is None else set(only)
    loaded: dict[str, type[Executor]] = {}
    rows: list[Plugin] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        if wanted is not None and point.name not in wanted:
            continue
        try:
            if point.name in loaded:
                raise UsageError(f"another plugin is already called {point.name!r}")
            executor = _load(point)
        except UsageError as error:
            _LOGGER.warning("the executor %s is left out: %s", point.name, error.message)
            rows.append(_row(point, problem=error.message))
        else:
            loaded[point.name] = executor
            rows.append(_row(point, kinds=tuple(executor.kinds)))
    return loaded, rows


def _load(point: EntryPoint) -> type[Executor]:
    try:
        found = point.load()
    except Exception as error:  # a stranger's module may raise anything
        raise UsageError(f"cannot load {point.value}: {type(error).__name__}: {error}") from error
    if not (inspect.isclass(found) and issubclass(found, Executor)):
        raise UsageError(f"{point.value} is not an Executor class")
    return found


def _row(point: EntryPoint, *, kinds: tuple[str, ...] = (), problem: str | None = None) -> Plugin:
    return Plugin(
        name=point.name,
        target=point.value,
        distribution=point.dist.name if point.dist else "",
        version=point.dist.version if point.dist else "",
        kinds=kinds,
        problem=problem,
    )
