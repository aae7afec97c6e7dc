"""Answers about alerts: shows rules and notices, tries rules, keeps and forgets them."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from flunq.core.alerts import (
    AlertHistory,
    AlertProblem,
    AlertQuestion,
    AlertRule,
    AlertTrial,
    AlertView,
    ApplyAlerts,
    DeleteAlert,
    ListAlerts,
    Notice,
    ShowAlert,
    TryAlert,
    view_of,
)
from flunq.errors import NotFoundError, RejectedError
from flunq.services.alerts.asking import check_query, rows_of
from flunq.services.alerts.hearing import BUS, JOURNAL, events_of, newest_places
from flunq.services.alerts.matching import ConditionError, could_meet, meets
from flunq.services.answering import answered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from flunq.client import Client
    from flunq.core.expressions import ExpressionEngine
    from flunq.log.ports import EventStream
    from flunq.services.alerts.book import AlertBook
    from flunq.services.alerts.hearing import Seen
    from flunq.services.clock import Clock

MOST_RULES = 100
LOOK_BACK = 2_000
"""So many of the newest records are looked at for a test."""
_question = msgspec.json.Decoder(AlertQuestion).decode


class AlertDesk:
    """The alerts of one tenant; ``changed`` tells those that watch."""

    def __init__(
        self,
        client: Client,
        stream: EventStream,
        book: AlertBook,
        engine: ExpressionEngine,
        clock: Clock,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._client = client
        self._stream = stream
        self._book = book
        self._engine = engine
        self._clock = clock
        self._changed = changed

    async def answer(self, payload: bytes) -> bytes:
        """Answer one encoded question; never raises for what somebody asked."""
        return await answered(payload, _question, self._value)

    async def _value(self, question: AlertQuestion) -> Any:
        if isinstance(question, ListAlerts):
            rules = await self._book.rules()
            return [await self._view(rule) for rule in rules.values()]
        if isinstance(question, ShowAlert):
            return await self._view(await self._find(question.name))
        if isinstance(question, AlertHistory):
            return await self._notices(question)
        if isinstance(question, TryAlert):
            return await self._try(question.rule)
        if isinstance(question, ApplyAlerts):
            return await self._apply(question)
        assert isinstance(question, DeleteAlert)
        return await self._delete(question.name)

    async def _find(self, name: str) -> AlertRule:
        rule = await self._book.rule(name)
        if rule is None:
            raise NotFoundError(f"no alert {name!r}", hint="list them with: flunq alerts list")
        return rule

    async def _view(self, rule: AlertRule) -> AlertView:
        return view_of(rule, (await self._book.state(rule.name))[0])

    async def _notices(self, question: AlertHistory) -> list[Notice]:
        """Return the newest notices, the newest first; those on their way are among them."""
        names = [(await self._find(question.name)).name] if question.name else []
        found: list[Notice] = []
        for name in names or await self._book.rules():
            state, _ = await self._book.state(name)
            found += [*state.log, *state.outbox]
        found.sort(key=lambda notice: (notice.time, notice.number), reverse=True)
        return found[: question.limit]

    # -- changes -----------------------------------------------------------------------------------

    async def _apply(self, question: ApplyAlerts) -> list[AlertProblem]:
        """Keep the rules, unless something is wrong with one; returns what is."""
        known = await self._book.rules()
        if len(known.keys() | {rule.name for rule in question.rules}) > MOST_RULES:
            raise RejectedError(f"a tenant may have {MOST_RULES} alerts")
        problems = [found for rule in question.rules if (found := await self._problem(rule))]
        if not problems and not question.dry_run:
            for rule in question.rules:
                if rule.on and rule.name not in known:
                    await self._begin(rule)
                await self._book.put_rule(rule)
            await self._changed()
        return problems

    async def _begin(self, rule: AlertRule) -> None:
        """Let a new rule hear what comes from now on: others may not have been listened to yet."""
        state, revision = await self._book.state(rule.name)
        heard = {**state.heard, **await newest_places(self._stream)}
        await self._book.put_state(rule.name, replace(state, heard=heard), revision)

    async def _problem(self, rule: AlertRule) -> AlertProblem | None:
        if not rule.query:
            return None
        try:
            await check_query(self._client, rule.query)
        except RejectedError as error:
            return AlertProblem(name=rule.name, message=error.message, hint=error.hint)
        return None

    async def _delete(self, name: str) -> AlertView:
        view = await self._view(await self._find(name))
        await self._book.delete(name)
        await self._changed()
        return view

    # -- a test ------------------------------------------------------------------------------------

    async def _try(self, rule: AlertRule) -> AlertTrial:
        if rule.query:
            rows = await rows_of(self._client, rule.query)
            return AlertTrial(name=rule.name, holds=bool(rows), value=rows)
        return await self._try_events(rule)

    async def _try_events(self, rule: AlertRule) -> AlertTrial:
        """Look at the newest events there are."""
        oldest = self._clock.now() - rule.within
        looked, met, value = 0, 0, None
        async for seen in self._newest():
            looked += 1
            if seen.time <= oldest or not could_meet(rule, seen.attributes):
                continue
            event = seen.value()
            try:
                if await meets(rule, event, self._engine):
                    met, value = met + 1, event
            except ConditionError as error:
                raise RejectedError(f"the condition of {rule.name}: {error}") from error
        return AlertTrial(name=rule.name, holds=met >= rule.count, value=value, looked_at=looked)

    async def _newest(self) -> AsyncIterator[Seen]:
        last = (await self._stream.journal.extent()).last
        for way, newest in ((JOURNAL, last), (BUS, await self._stream.bus.last_seq())):
            if not newest:
                continue
            source = self._stream.journal if way == JOURNAL else self._stream.bus
            async with aclosing(source.follow(after=max(0, newest - LOOK_BACK))) as records:  # type: ignore[type-var]
                async for record in records:
                    for seen in events_of(way, record):
                        yield seen
                    if record.seq >= newest:
                        break
