"""Watches over the rules of a tenant: asks, listens, and tells.

It works with the rules as they were when it began; whoever changes one begins it anew. What is
known of a rule is stored with each change, so another process goes on where this one was, and
nobody is told twice of the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.alerts import (
    MOST_TRIES,
    AlertRule,
    AlertState,
    Notice,
    holds_by_hits,
    judge,
    judge_hit,
    next_moment,
    settled,
)
from flunq.core.protocol import feed_subject
from flunq.errors import FlunqError
from flunq.log.ports import OutcomeUnknownError, StoreFullError
from flunq.services.alerts.asking import rows_of
from flunq.services.alerts.hearing import Hearing
from flunq.services.alerts.messages import event_of
from flunq.services.alerts.sender import UndeliverableError
from flunq.services.lasting import heard
from flunq.telemetry.catalog import gauge

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.client import Client
    from flunq.core.expressions import ExpressionEngine
    from flunq.log.ports import EventStream
    from flunq.services.alerts.book import AlertBook
    from flunq.services.alerts.sender import Sender
    from flunq.services.clock import Clock

log = logging.getLogger(__name__)

MOST_VALUE = 8 << 10
"""Bytes of rows, or of an event, that are kept and told."""
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 600.0
_encode = msgspec.json.Encoder().encode


class Watcher:
    """Tends the rules of one tenant."""

    def __init__(
        self,
        client: Client,
        stream: EventStream,
        book: AlertBook,
        sender: Sender,
        engine: ExpressionEngine,
        clock: Clock,
        *,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._client = client
        self._stream = stream
        self._book = book
        self._sender = sender
        self._clock = clock
        self._first_pause = first_pause
        self._hearing = Hearing(stream, book, engine, self.heard, self.trouble)
        self._rules: dict[str, AlertRule] = {}
        self._states: dict[str, tuple[AlertState, int]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._mail = asyncio.Event()
        self._moved = asyncio.Event()
        self._again: dict[str, float] = {}
        """Loop time before which a webhook is left alone, by rule."""

    async def run(self, rules: dict[str, AlertRule]) -> None:
        """Watch until cancelled; raises RevisionConflictError when somebody else does, too."""
        self._rules = rules
        self._states = {name: await self._book.state(name) for name in rules}
        self._mail.set()
        self._count()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask([rule for rule in rules.values() if rule.query]))
            group.create_task(self._deliver())
            heard = [rule for rule in rules.values() if rule.on]
            if heard:
                group.create_task(self._hearing.run(heard))
                group.create_task(self._wait_for_moments(heard))

    # -- judging -----------------------------------------------------------------------------------

    async def _ask(self, rules: list[AlertRule]) -> None:
        loop = asyncio.get_running_loop()
        due = {rule.name: loop.time() for rule in rules}
        while due:
            name = min(due, key=lambda each: due[each])
            await asyncio.sleep(due[name] - loop.time())
            await self._look(self._rules[name])
            due[name] = max(due[name] + self._rules[name].every / 1_000_000, loop.time())

    async def _look(self, rule: AlertRule) -> None:
        try:
            rows = await rows_of(self._client, rule.query)
        except FlunqError as error:
            await self.trouble(rule, str(error))
            return
        now = self._clock.now()
        await self._change(rule, lambda state: judge(rule, state, bool(rows), now, brief(rows)))

    async def trouble(self, rule: AlertRule, problem: str) -> None:
        """Note why it is not known whether a rule holds."""
        if self._states[rule.name][0].problem != problem:
            log.warning("alert %s cannot be judged: %s", rule.name, problem)
        await self._change(rule, lambda state: msgspec.structs.replace(state, problem=problem))

    async def heard(self, rule: AlertRule, note: Callable[[AlertState], AlertState]) -> None:
        """Judge a rule whose filter an event has met."""
        now = self._clock.now()
        await self._change(rule, lambda state: judge_hit(rule, state, note(state), now))
        self._moved.set()

    async def _wait_for_moments(self, rules: list[AlertRule]) -> None:
        """Judge rules about events when time has changed what holds."""
        while True:
            now = self._clock.now()
            moments = [next_moment(rule, self._states[rule.name][0], now) for rule in rules]
            soonest = min((each for each in moments if each is not None), default=None)
            await heard(self._moved, None if soonest is None else (soonest - now) / 1_000_000)
            self._moved.clear()
            now = self._clock.now()
            for rule in rules:
                await self._change(rule, partial(_judged, rule, now))

    async def _change(self, rule: AlertRule, change: Callable[[AlertState], AlertState]) -> None:
        """Change what is known of a rule, and store it."""
        async with self._locks[rule.name]:
            state, revision = self._states[rule.name]
            changed = change(state)
            if changed == state:
                return
            revision = await self._book.put_state(rule.name, changed, revision)
            self._states[rule.name] = (changed, revision)
        self._count()
        if changed.outbox:
            self._mail.set()

    def _count(self) -> None:
        firing = sum(state.firing is not None for state, _ in self._states.values())
        gauge("flunq_alerts_firing", self._client.tenant).set(firing)

    # -- telling -----------------------------------------------------------------------------------

    async def _deliver(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            waiting = [name for name, (state, _) in self._states.items() if state.outbox]
            soonest = min((self._again.get(name, 0.0) for name in waiting), default=None)
            await heard(self._mail, None if soonest is None else soonest - loop.time())
            self._mail.clear()
            now = loop.time()
            due = [
                rule
                for name, rule in self._rules.items()
                if self._states[name][0].outbox and self._again.get(name, 0.0) <= now
            ]
            await asyncio.gather(*map(self._tell, due))

    async def _tell(self, rule: AlertRule) -> None:
        """Tell the oldest notice of a rule: as an event, then to its webhook."""
        notice = self._states[rule.name][0].outbox[0]
        try:
            if not notice.tries:
                await self._publish(rule, notice)
            told = await self._told(rule, notice)
        except (OutcomeUnknownError, StoreFullError) as error:
            log.warning("alert %s is told later: %s", rule.name, error)
            self._rest(rule, 1)
            return
        await self._change(rule, lambda state: settled(state, told))
        if told.delivery:
            self._again.pop(rule.name, None)
        else:
            self._rest(rule, told.tries)

    async def _told(self, rule: AlertRule, notice: Notice) -> Notice:
        if rule.webhook is None:
            return msgspec.structs.replace(notice, delivery="none")
        tries = notice.tries + 1
        try:
            await self._sender.send(rule, notice)
        except UndeliverableError as error:
            given_up = error.final or tries >= MOST_TRIES
            log.warning("the webhook of alert %s: %s", rule.name, error)
            return msgspec.structs.replace(
                notice, tries=tries, problem=str(error), delivery="failed" if given_up else ""
            )
        return msgspec.structs.replace(notice, tries=tries, problem="", delivery="delivered")

    async def _publish(self, rule: AlertRule, notice: Notice) -> None:
        """Put an event on the bus, for workflows, and among those that people follow."""
        tenant = self._client.tenant
        event = event_of(tenant, rule, notice)
        body = _encode(event)
        await self._stream.bus.publish("eng", body, type=event["type"], message_id=notice.id)
        subject = feed_subject(tenant, "alerts")
        await self._stream.requests.notify(subject, b"[" + body + b"]")

    def _rest(self, rule: AlertRule, tries: int) -> None:
        pause = min(self._first_pause * 2 ** (tries - 1), LONGEST_PAUSE)
        self._again[rule.name] = asyncio.get_running_loop().time() + pause


def _judged(rule: AlertRule, now: int, state: AlertState) -> AlertState:
    return judge(rule, state, holds_by_hits(rule, state, now), now, state.value)


def brief(rows: list[Any]) -> list[Any]:
    """Return as many of some rows as are told."""
    while len(_encode(rows)) > MOST_VALUE:
        rows = rows[: len(rows) // 2]
    return rows
