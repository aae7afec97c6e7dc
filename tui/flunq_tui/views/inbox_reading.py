"""Finds what waits for people among all that waits, without asking for each that only sleeps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from flunq.errors import NotFoundError
from flunq_tui.model.inbox import ORDER, Matter, may_listen, of_execution
from flunq_tui.source import Query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Sequence

    from flunq.core.protocol import Definition, DefinitionText, Summary
    from flunq_tui.source import Source

    Found = list[Matter]

MOST = 200
"""Matters of one status that are shown, and executions on a page."""
MOST_ASLEEP = 2_000
"""Waiting executions that are read through, whatever they wait for."""
MOST_ASKED = 2_000
"""Waiting executions that are asked for what they wait for, in one go; the next one goes on."""
_HELD = tuple(each for each in ORDER if each not in ("waiting", "dead"))
_AT_ONCE = 16


class InboxReading:
    """Reads the matters of a source; what did not change is not asked for again."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known: dict[str, Matter | None] = {}
        """None: it goes on by itself."""
        self._documents: dict[str, DefinitionText | None] = {}
        self._registered: dict[str, Definition] = {}
        self.more: set[str] = set()
        """Of these statuses there may be more than was looked at."""
        self.is_partial = False
        """Whether the next reading finds more."""

    @property
    def known(self) -> Collection[str]:
        """The executions that are not asked for again."""
        return self._known.keys()

    def forget(self, executions: Iterable[str]) -> None:
        """These have changed."""
        for name in executions:
            self._known.pop(name, None)

    async def read(self) -> AsyncIterator[Found]:
        """Yield all matters but dead letters, as they are found."""
        seen: set[str] = set()
        for status in _HELD:
            page = await self._source.executions(Query(statuses=(status,), limit=MOST))
            self._note(status, more=len(page) == MOST)
            yield await self._matters(page)
            seen.update(each.id for each in page)
        found = asked = 0
        async for page in self._that_may_listen():
            unseen = [each for each in page if each.id not in seen]
            asked += sum(each.id not in self._known for each in unseen)
            matters = await self._matters(unseen)
            yield matters
            seen.update(each.id for each in unseen)
            found += len(matters)
            if found >= MOST or asked >= MOST_ASKED:
                self._note("waiting", more=True)
                break
        self.is_partial = "waiting" in self.more and found < MOST
        self._known = {name: each for name, each in self._known.items() if name in seen}

    def _note(self, status: str, *, more: bool) -> None:
        (self.more.add if more else self.more.discard)(status)

    # -- waiting for an event, or for a timer only -------------------------------------------------

    async def _that_may_listen(self) -> AsyncIterator[Sequence[Summary]]:
        """Yield pages of waiting executions without those whose documents never listen.

        When very many wait, only the workflows that listen are read on.
        """
        looked_at = 0
        page: Sequence[Summary] = ()
        self._registered = {}
        async for page in self._pages(Query(statuses=("waiting",), limit=MOST)):
            if page and not self._registered:
                known = await self._source.workflows()
                self._registered = {_name(each): each for each in known}
            yield [each for each in page if await self._may_listen(each)]
            looked_at += len(page)
            if looked_at >= MOST_ASLEEP:
                break
        self._note("waiting", more=False)
        if len(page) < MOST:
            return
        for name in self._registered:
            if may_listen(await self._document(name)):
                query = Query(statuses=("waiting",), limit=MOST, workflow=name, before=_key(page))
                async for later in self._pages(query):
                    yield later

    async def _pages(self, query: Query) -> AsyncIterator[Sequence[Summary]]:
        while True:
            page = await self._source.executions(query)
            yield page
            if len(page) < query.limit:
                return
            query = msgspec.structs.replace(query, before=_key(page))

    async def _may_listen(self, each: Summary) -> bool:
        name = f"{each.namespace}/{each.workflow}:{each.version}"
        registered = self._registered.get(name)
        if registered is None or registered.created_at > each.started_at:
            return True  # it runs a document that is no longer registered
        return may_listen(await self._document(name))

    # -- one by one --------------------------------------------------------------------------------

    async def _matters(self, page: Sequence[Summary]) -> Found:
        """Ask for what is new, some at a time."""
        unknown = [each.id for each in page if each.id not in self._known]
        for start in range(0, len(unknown), _AT_ONCE):
            names = unknown[start : start + _AT_ONCE]
            matters = await asyncio.gather(*map(self._matter, names))
            self._known.update(zip(names, matters, strict=True))
        found = (self._known.get(each.id) for each in page)
        return [each for each in found if each is not None]

    async def _matter(self, execution: str) -> Matter | None:
        try:
            details = await self._source.details(execution)
        except NotFoundError:
            return None  # it was deleted in the meantime
        if details.status != "waiting":
            return of_execution(details, None)
        name = f"{details.namespace}/{details.workflow}:{details.version}"
        known = await self._document(name)
        return of_execution(details, known.document if known is not None else None)

    async def _document(self, name: str) -> DefinitionText | None:
        known = self._documents.get(name)
        registered = self._registered.get(name)
        is_old = known is None or (
            registered is not None and known.definition.digest != registered.digest
        )
        if name not in self._documents or (registered is not None and is_old):
            try:
                self._documents[name] = await self._source.definition(name)
            except NotFoundError:
                self._documents[name] = None
        return self._documents[name]


def _name(definition: Definition) -> str:
    return f"{definition.namespace}/{definition.name}:{definition.version}"


def _key(page: Sequence[Summary]) -> tuple[int, str]:
    return page[-1].started_at, page[-1].id
