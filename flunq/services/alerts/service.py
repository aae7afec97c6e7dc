"""The alerts of a tenant as a role of the control process.

Every control process answers; one of them watches, and only while there are rules. What is needed
for that is imported with the first rule, or the first question.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec

from flunq.client import Client
from flunq.core.alerts import alerts_changed_subject, alerts_subject
from flunq.core.ids import token
from flunq.log.ports import RevisionConflictError
from flunq.log.select import database
from flunq.services.alerts.book import AlertBook
from flunq.services.clock import SystemClock
from flunq.services.identity.audited import AuditedStream
from flunq.services.lasting import heard, while_connected

if TYPE_CHECKING:
    from flunq.core.alerts import AlertRule
    from flunq.engines.jq_process import JqPool
    from flunq.log.ports import Database, EventStream
    from flunq.log.select import StreamSettings
    from flunq.services.alerts.desk import AlertDesk
    from flunq.services.historian.tenure import Tenure

log = logging.getLogger(__name__)

RENEW_SECONDS = 5.0
LOOK_SECONDS = 60.0
"""So often the rules are read anew, in case a notice of a change was lost."""


class AlertSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the alerts of a tenant need to know."""

    profile: str
    """Says which addresses webhooks may have."""
    secrets_key: str
    folder: Path


async def run_alerts(
    settings: AlertSettings, connection: StreamSettings, stop: asyncio.Event
) -> None:
    """Answer, and watch, until told to stop; raises ConnectionError when the connection is lost."""
    stream = AuditedStream(connection)
    async with (
        Client(stream, tenant=connection.tenant) as client,
        database(connection) as store,
        AsyncExitStack() as stack,
    ):
        alerts = _Alerts(settings, client, stream, store, stack)
        await while_connected(stream, alerts.run(stop))


class _Alerts:
    """The role, connected."""

    def __init__(
        self,
        settings: AlertSettings,
        client: Client,
        stream: EventStream,
        store: Database,
        stack: AsyncExitStack,
    ) -> None:
        self._settings = settings
        self._client = client
        self._stream = stream
        self._store = store
        self._stack = stack
        self._clock = SystemClock()
        self._book = AlertBook(client.tenant, store)
        self._changed = asyncio.Event()
        self._engine: JqPool | None = None
        self._desk: AlertDesk | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Answer and watch until told to stop."""
        tenant, client = self._client.tenant, self._client
        ending = asyncio.create_task(self._end(stop))
        try:
            async with (
                client.listening(alerts_changed_subject(tenant), lambda _: self._changed.set()),
                client.serving(alerts_subject(tenant), self._answer),
            ):
                while not stop.is_set():
                    self._changed.clear()
                    await self._watch(await self._book.rules())
        finally:
            ending.cancel()

    async def _end(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._changed.set()

    async def _watch(self, rules: dict[str, AlertRule]) -> None:
        """Watch over the rules as they are now, until they may be others."""
        if not rules:
            await heard(self._changed, within=LOOK_SECONDS)
            return
        from flunq.services.holding import while_in_office

        ended = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._until_others(rules, ended))
                await while_in_office(self._office(), ended, lambda: self._work(rules))
        except* RevisionConflictError:
            log.info("another process tends the alerts of %s, too", self._client.tenant)

    async def _until_others(self, rules: dict[str, AlertRule], ended: asyncio.Event) -> None:
        while not await heard(self._changed, within=LOOK_SECONDS):
            if await self._book.rules() != rules:
                break
        ended.set()

    def _office(self) -> Tenure:
        from flunq.services.historian.tenure import ALERTER, Tenure

        tenant = self._client.tenant
        return Tenure(
            self._store.state,
            tenant,
            self._settings.folder / "alerts" / token(tenant),
            uuid4().hex,
            office=ALERTER,
            renew_seconds=RENEW_SECONDS,
        )

    async def _work(self, rules: dict[str, AlertRule]) -> None:
        from flunq.sdk.egress import EgressPolicy
        from flunq.sdk.secrets import EnvironmentSecrets
        from flunq.services.alerts.sender import Sender
        from flunq.services.alerts.watcher import Watcher
        from flunq.services.vault import Vault, VaultSecrets

        tenant = self._client.tenant
        vault = Vault(self._store.secrets, tenant, self._settings.secrets_key, self._clock)
        secrets = VaultSecrets(vault, EnvironmentSecrets())
        egress = EgressPolicy.of_profile(self._settings.profile)
        engine = await self._expressions()
        with closing(Sender(tenant, egress, secrets, self._clock)) as sender:
            watcher = Watcher(self._client, self._stream, self._book, sender, engine, self._clock)
            await watcher.run(rules)

    async def _answer(self, payload: bytes) -> bytes:
        if self._desk is None:
            from flunq.services.alerts.desk import AlertDesk

            engine = await self._expressions()
            self._desk = AlertDesk(
                self._client, self._stream, self._book, engine, self._clock, self._tell_others
            )
        return await self._desk.answer(payload)

    async def _expressions(self) -> JqPool:
        """Return what evaluates conditions that take a process of their own."""
        if self._engine is None:
            from flunq.engines.jq_process import JqPool

            self._engine = await self._stack.enter_async_context(JqPool(size=1))
        return self._engine

    async def _tell_others(self) -> None:
        self._changed.set()
        await self._stream.requests.notify(alerts_changed_subject(self._client.tenant), b"")
