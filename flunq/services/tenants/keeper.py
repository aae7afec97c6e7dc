"""Answers those who tend the cluster: its tenants and its nodes."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.ids import token
from flunq.core.protocol import node_subject
from flunq.core.tenancy import (
    ADMIN_SUBJECT,
    TENANTS_CHANGED,
    AdminQuestion,
    Created,
    CreateTenant,
    DeleteTenant,
    Keeping,
    ListNodes,
    ListTenants,
    NodeView,
    Quotas,
    ShowAccess,
    ShowTenant,
    TenantRecord,
    TenantUse,
    TenantView,
    UpdateTenant,
)
from flunq.errors import FlunqError, UnavailableError, UsageError
from flunq.log.ports import (
    NoResponderError,
    OutcomeUnknownError,
    RequestTimeoutError,
    StoreFullError,
    StreamGoneError,
)
from flunq.services.answering import answered, refused
from flunq.services.assignment import NodeLease
from flunq.services.clock import SystemClock
from flunq.services.tenants.lifecycle import TenantLifecycle
from flunq.services.tenants.records import TenantRecords, check_name

if TYPE_CHECKING:
    from flunq.log.ports import Database, Requests
    from flunq.log.select import StreamSettings
    from flunq.services.tenants.access import Servers

log = logging.getLogger(__name__)

FINISH_SECONDS = 15.0
NODE_TIMEOUT = 2.0
_question = msgspec.json.Decoder(AdminQuestion).decode
_lease = msgspec.json.Decoder(NodeLease).decode


class TenantKeeper:
    """The records, and everything about tenants and nodes that may be asked."""

    def __init__(
        self,
        home: TenantRecord,
        connection: StreamSettings,
        store: Database,
        requests: Requests,
        servers: Servers,
        *,
        data_dir: str | None,
    ) -> None:
        self.records = TenantRecords(store.tenants)
        self._home = home
        self._store = store
        self._requests = requests
        self._servers = servers
        self.lifecycle = TenantLifecycle(
            self.records,
            connection,
            store,
            requests,
            servers,
            home=home.name,
            data_dir=data_dir,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Answer until told to stop; finish what others left half done."""
        changed = asyncio.Event()
        async with (
            self._requests.serve(ADMIN_SUBJECT, self.answer),
            self._requests.listen(TENANTS_CHANGED, lambda _: changed.set()),
        ):
            while not stop.is_set():
                await self._finish()
                changed.clear()
                await _either(stop, changed)

    async def answer(self, payload: bytes) -> bytes | None:
        """Answer one encoded question; never raises for what somebody asked."""
        try:
            return await answered(payload, _question, self._value)
        except (StoreFullError, OutcomeUnknownError, StreamGoneError) as error:
            return refused(UnavailableError("the cluster does not answer", reason=str(error)))

    async def _value(self, question: AdminQuestion) -> Any:
        if isinstance(question, ListTenants):
            return await self.records.all()
        if isinstance(question, ShowTenant):
            record = await self.records.get(question.name)
            return TenantView(tenant=record, use=await self._use(record))
        if isinstance(question, CreateTenant):
            return await self._create(question)
        if isinstance(question, UpdateTenant):
            return await self._update(question)
        if isinstance(question, DeleteTenant):
            return await self.lifecycle.delete(question.name)
        if isinstance(question, ShowAccess):
            check_name(question.name)
            return self._servers.access(question.name)
        assert isinstance(question, ListNodes)
        return await self.nodes()

    async def _create(self, question: CreateTenant) -> Created:
        record = TenantRecord(
            name=check_name(question.name),
            partitions=_partitions(question.partitions, self._home.partitions),
            replicas=self._home.replicas,
            quotas=_quotas(msgspec.structs.asdict(question.quotas)),
            retention=_keeping(msgspec.structs.asdict(question.retention)),
            created_at=SystemClock().now(),
        )
        made = await self.lifecycle.create(record)
        return Created(tenant=made, access=self._servers.access(made.name))

    async def _update(self, question: UpdateTenant) -> TenantRecord:
        def change(record: TenantRecord) -> TenantRecord:
            quotas = msgspec.structs.asdict(record.quotas) | question.quotas
            keeping = msgspec.structs.asdict(record.retention) | question.retention
            return msgspec.structs.replace(
                record, quotas=_quotas(quotas), retention=_keeping(keeping)
            )

        changed = await self.records.change(question.name, change)
        await self.lifecycle.tell()
        return changed

    async def _use(self, record: TenantRecord) -> TenantUse:
        name = record.name
        loads = [node.tenants[name] for node in await self.nodes() if name in node.tenants]
        async with self.lifecycle.parts(name) as (stream, store):
            try:
                journal, blobs = (await stream.journal.extent()).bytes, await store.blobs.size()
            except StreamGoneError:
                journal, blobs = 0, 0  # half made or half gone
        workflows = await self._store.definitions.keys(f"{token(name)}.n.")
        return TenantUse(
            executions=sum(load.open for load in loads),
            journal_bytes=journal,
            blob_bytes=blobs,
            workflows=len(workflows),
            nodes=sum(bool(load.partitions) for load in loads),
        )

    async def nodes(self) -> list[NodeView]:
        """Return the nodes that are alive, as they describe themselves."""
        live = await self._store.leases.live()
        asked = (self._node(name, value) for name, value in sorted(live.items()))
        return list(await asyncio.gather(*asked))

    async def _node(self, name: str, value: bytes) -> NodeView:
        try:
            body = await self._requests.request(
                node_subject(name, "state"), b"", timeout=NODE_TIMEOUT
            )
            return msgspec.json.decode(body, type=NodeView)
        except (NoResponderError, RequestTimeoutError):
            # It holds a lease, so it lived a moment ago: what that says is better than nothing.
            lease = _lease(value)
            return NodeView(
                name=name,
                roles=lease.roles,
                kinds=lease.kinds,
                tenants=lease.tenants,
                running=0,
                capacity=lease.capacity,
                memory=0,
                started_at=lease.started_at,
                seen_at=0,
                pid=lease.pid,
                leaving=lease.leaving,
            )

    async def _finish(self) -> None:
        try:
            await self.lifecycle.finish()
        except (FlunqError, OutcomeUnknownError) as error:
            log.warning("tenants are not in order yet: %s", error)


def _partitions(wanted: int | None, usual: int) -> int:
    if wanted is None:
        return usual
    if not 1 <= wanted <= 256:
        raise UsageError("a tenant has 1 to 256 partitions", hint="--partitions 8")
    return wanted


def _quotas(members: dict[str, Any]) -> Quotas:
    for name, value in members.items():
        if value is not None and value <= 0:
            raise UsageError(f"the quota of {name} must be more than 0", hint="leave it out")
    return msgspec.convert(members, Quotas)


def _keeping(members: dict[str, Any]) -> Keeping:
    for name, value in members.items():
        if value is not None and value < 0:
            raise UsageError(f"retention {name} must not be below 0")
    return msgspec.convert(members, Keeping)


async def _either(stop: asyncio.Event, changed: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in (stop, changed)]
    await asyncio.wait(waiting, timeout=FINISH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
