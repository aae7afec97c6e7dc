"""Executions that were exported, as a source: everything to look at, nothing to change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.events import LazyEvent
from flunq.core.protocol import DefinitionText, Details, Summary
from flunq.errors import ConflictError, NotFoundError
from flunq_tui.source import Hear, Link, Partition, Query, Queue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from pathlib import Path

    from flunq.client.reasons import Why
    from flunq.core.letters import Letter
    from flunq.core.protocol import Definition, LakeView, ScheduleView
    from flunq.services.supervising.statefile import ClusterState
    from flunq.store.query_job import Reply
    from flunq.telemetry.lines import LogLine

_SUMMARY = Summary.__struct_fields__


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One execution with its history."""

    details: Details
    events: tuple[LazyEvent, ...] = ()
    definition: DefinitionText | None = None


class RecordedSource:
    """Holds recordings in memory; ``publish`` hands further events to the views."""

    offline = True
    lost_events = 0

    def __init__(self, recordings: Iterable[Recording], *, name: str = "file") -> None:
        self.link = Link(state="file", name=name)
        self.asked: list[Query] = []
        """Which pages were asked for."""
        self._recordings = {each.details.id: each for each in recordings}
        self._order = sorted(
            self._recordings.values(),
            key=lambda each: (each.details.started_at, each.details.id),
            reverse=True,
        )
        self._hearers: list[Hear] = []

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to disconnect from."""

    def subscribe(self, hear: Hear) -> Callable[[], None]:
        """Register a view."""
        self._hearers.append(hear)
        return lambda: self._hearers.remove(hear) if hear in self._hearers else None

    def on_link(self, hear: Callable[[Link], None]) -> None:
        """A file stays where it is."""

    def publish(self, events: Sequence[LazyEvent]) -> None:
        """Hand events to the views, as a cluster does."""
        for hear in list(self._hearers):
            hear(events)

    async def executions(self, query: Query) -> Sequence[Summary]:
        """Return a page of the recordings."""
        self.asked.append(query)
        found: list[Summary] = []
        start = 0 if query.before is None else self._after(query.before)
        for each in self._order[start:]:
            if _wanted(each.details, query):
                found.append(_summary(each.details))
                if len(found) == query.limit:
                    break
        return found

    async def details(self, execution: str) -> Details:
        """Return a recorded execution."""
        return self._get(execution).details

    async def history(self, execution: str) -> AsyncIterator[LazyEvent]:
        """Yield the recorded events."""
        for number, event in enumerate(self._get(execution).events):
            yield event
            if number % 1_000 == 0:
                await asyncio.sleep(0)

    async def workflows(self) -> Sequence[Definition]:
        """Return the definitions that the recordings carry."""
        found = {
            each.definition.definition.digest: each.definition.definition
            for each in self._recordings.values()
            if each.definition is not None
        }
        return sorted(found.values(), key=lambda each: (each.namespace, each.name, each.version))

    async def definition(self, name: str) -> DefinitionText:
        """Return a definition that a recording carries."""
        for each in self._recordings.values():
            known = each.definition
            if known is not None and name in _names(known.definition):
                return known
        raise NotFoundError(f"the file has no definition of {name}")

    async def schedules(self) -> Sequence[ScheduleView]:
        """A file has no schedules."""
        return []

    async def partitions(self) -> Sequence[Partition]:
        """A file has no partitions."""
        return []

    async def archive(self) -> LakeView | None:
        """A file has no archive."""
        return None

    async def cluster(self) -> ClusterState | None:
        """A file has no cluster."""
        return None

    async def queues(self) -> Sequence[Queue]:
        """A file has no queues."""
        return []

    async def logs(self, limit: int) -> Sequence[LogLine]:
        """A file has no logs."""
        return []

    async def query(self, sql: str, limit: int) -> AsyncIterator[Reply]:
        """Refuse: ``flunq sql --file`` answers about files."""
        raise ConflictError(
            f"{self.link.name} is a recording", hint="ask it with: flunq sql --file EXPORT"
        )
        yield  # it is a generator all the same

    async def why(self, execution: str) -> Why | None:
        """A file knows nothing of queues and leases."""
        return None

    async def letters(self) -> Sequence[Letter]:
        """A file has no dead letters."""
        return []

    async def letter(self, name: str) -> Letter:
        """A file has no dead letters."""
        raise NotFoundError(f"no dead letter {name}")

    async def act(self, action: str, execution: str, **values: Any) -> str:
        """Refuse."""
        raise self._refusal()

    async def fork(self, execution: str, *, at: int | None, **values: Any) -> str:
        """Refuse."""
        raise self._refusal()

    async def settle(self, action: str, letter: str, body: str | None = None) -> str:
        """Refuse."""
        raise self._refusal()

    async def start(self, workflow: str, value: Any, execution: str | None) -> str:
        """Refuse."""
        raise self._refusal()

    async def emit(self, events: Iterable[dict[str, Any]]) -> None:
        """Refuse."""
        raise self._refusal()

    async def export(self, execution: str, folder: Path) -> Path:
        """Refuse: it is a file already."""
        raise self._refusal()

    async def steer(self, action: str, schedule: str) -> str:
        """Refuse."""
        raise self._refusal()

    def _refusal(self) -> ConflictError:
        return ConflictError(f"{self.link.name} is a recording: nothing in it can be changed")

    def _get(self, execution: str) -> Recording:
        found = self._recordings.get(execution)
        if found is None:
            raise NotFoundError(f"no execution {execution}")
        return found

    def _after(self, key: tuple[int, str]) -> int:
        low, high = 0, len(self._order)
        while low < high:
            middle = (low + high) // 2
            details = self._order[middle].details
            if (details.started_at, details.id) >= key:
                low = middle + 1
            else:
                high = middle
        return low


def from_files(paths: Iterable[Path]) -> RecordedSource:
    """Read exported executions; raises RejectedError for what is none."""
    from flunq.store.exports import read_export

    recordings = []
    names = []
    for path in paths:
        export = read_export(path)
        names.append(path.name)
        recordings.append(
            Recording(
                details=export.header.execution,
                events=tuple(export.events),
                definition=export.header.definition,
            )
        )
    return RecordedSource(recordings, name=", ".join(names))


def _wanted(details: Details, query: Query) -> bool:
    if query.statuses and details.status not in query.statuses:
        return False
    full = f"{details.namespace}/{details.workflow}:{details.version}"
    ways = (full, full.rpartition(":")[0], details.workflow)
    return not query.workflow or query.workflow in ways


def _summary(details: Details) -> Summary:
    return Summary(**{name: getattr(details, name) for name in _SUMMARY})


def _names(definition: Definition) -> tuple[str, ...]:
    full = f"{definition.namespace}/{definition.name}"
    return f"{full}:{definition.version}", full, definition.name
