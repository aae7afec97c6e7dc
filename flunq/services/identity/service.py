"""Identity in a control process: the gate, the audit, and answers about both to clients."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.access import (
    ApprovalLink,
    AuditPage,
    CreateLink,
    CreateToken,
    IssuedToken,
    ListTokens,
    ReadAudit,
    RevokeToken,
    Rotated,
    RotateKeys,
    TokenQuestion,
    TokenView,
    any_tenant,
    audit_subject,
    identity_subject,
    tenant_of,
    tokens_subject,
)
from flunq.errors import FlunqError, RejectedError, UnavailableError, UsageError
from flunq.log.beat import until_beat
from flunq.log.ports import (
    NoResponderError,
    OutcomeUnknownError,
    RevisionConflictError,
    StreamGoneError,
    TransportLostError,
    asker,
)
from flunq.log.select import database, event_stream
from flunq.services.answering import given, refused
from flunq.services.background import Background
from flunq.services.identity.audit import Audit
from flunq.services.identity.gate import Gate
from flunq.services.identity.keys import internal_proof
from flunq.services.identity.links import ApprovalLinks
from flunq.services.identity.reading import read_page
from flunq.services.identity.registry import LOCAL_NAME, AnsweredElsewhereError, Registry
from flunq.services.identity.watching import Watch
from flunq.services.lasting import heard
from flunq.services.tenants.records import TenantRecords

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from flunq.log.ports import AuditTrail, Database, EventStream
    from flunq.log.select import StreamSettings
    from flunq.services.identity.settings import IdentitySettings

_log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""How often a control process looks for changes of which it may have missed the news."""
KEEP_SECONDS = 600.0
CONNECT_SECONDS = 5.0
_TROUBLE = (
    OutcomeUnknownError,
    NoResponderError,
    StreamGoneError,
    TransportLostError,
    UnavailableError,
)


class Identity:
    """Who may come in, and who did what. Made by :meth:`open`.

    A connection that is lost is made again; meanwhile what was known goes on to count.
    """

    def __init__(
        self,
        connection: StreamSettings,
        settings: IdentitySettings,
        *,
        streams: Callable[[StreamSettings], EventStream] = event_stream,
        databases: Callable[[StreamSettings], Database] = database,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.home = connection.tenant
        self.proof = internal_proof(settings.token_key) if settings.token_key else ""
        self.ready = asyncio.Event()
        self._connection = connection
        self._make_stream = streams
        self._make_database = databases
        self._clock = clock
        self._changed = asyncio.Event()
        self._records: TenantRecords
        self._stack = AsyncExitStack()
        self._streams: dict[str, EventStream] = {}
        self.registry = Registry(cluster_key=settings.token_key, tenant=self.home, clock=clock)
        self.gate = Gate(self.registry, settings, issuer=self._issuer(), clock=clock)
        self.audit = Audit(self._trail, clock=clock, node=connection.name)
        self.links = ApprovalLinks(self.proof, clock=clock)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, connection: StreamSettings, settings: IdentitySettings, **given: Any
    ) -> AsyncIterator[Identity]:
        """Read keys and tokens, follow their changes and answer clients while the block runs.

        Raises UnavailableError when the cluster is not reached soon; one that is lost later is
        looked for again.
        """
        identity = cls(connection, settings, **given)
        async with Background() as background:
            background.run(identity.audit.run())
            background.run(identity.run())
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await identity.ready.wait()
            except TimeoutError:
                raise UnavailableError("the cluster's keys and tokens cannot be read") from None
            yield identity

    async def run(self) -> None:
        """Work until cancelled, beginning again whenever the cluster was lost."""
        while True:
            try:
                async with AsyncExitStack() as self._stack:
                    await self._work()
            except _TROUBLE as error:
                _log.warning("keys and tokens cannot be followed: %s", error)
            finally:
                self._streams.clear()
            await asyncio.sleep(LOOK_SECONDS)

    async def _work(self) -> None:
        store = await self._stack.enter_async_context(self._make_database(self._connection))
        await store.ensure()
        await self.registry.open(store.identity)
        self.links.open(store.identity)
        self._records = TenantRecords(store.tenants)
        self.ready.set()
        requests = (await self._stream(self.home)).requests
        watch = Watch(self.audit, tenant=None, proof=self.proof, clock=self._clock)
        news = requests.listen(identity_subject(), lambda _: self._changed.set())
        # Every tenant asks on a subject of its own, which no other tenant may use.
        tokens = requests.serve(any_tenant(tokens_subject), watch.over(self._about_tokens))
        audit = requests.serve(any_tenant(audit_subject), watch.over(self._about_audit))
        async with news, tokens, audit, Background() as background:
            background.run(self._keep_trails())
            await self._follow()

    async def _follow(self) -> None:
        """Read again what changed: at the news of it, and also without."""
        loop = asyncio.get_running_loop()
        while True:
            await heard(self._changed, within=until_beat(loop.time(), LOOK_SECONDS))
            self._changed.clear()
            await self.registry.refresh()

    async def _keep_trails(self) -> None:
        """Let the trail of every tenant, and the list of used links, forget what is old."""
        while True:
            names = {self.home}
            try:
                await self.links.tidy()
                names |= {record.name for record in await self._records.all()}
            except _TROUBLE as error:
                _log.warning("used links, or the tenants, cannot be read now: %s", error)
            for tenant in sorted(names):
                try:
                    await (await self._trail(tenant)).keep(self.settings.audit_keep)
                except _TROUBLE as error:
                    _log.warning("the audit of %s is kept as it was: %s", tenant, error)
            await asyncio.sleep(KEEP_SECONDS)

    # -- what the API and the answers stand on ---------------------------------------------------

    async def create_token(self, question: CreateToken, *, tenant: str) -> IssuedToken:
        """Issue a token, asked for by somebody of a tenant that exists, or NotFoundError."""
        self._check(question.tenant, tenant)
        if question.tenant != self.home:
            await self._records.get(question.tenant)
        return await self.registry.create(
            id=question.id,
            name=question.name,
            role=question.role,
            tenant=question.tenant,
            lifetime=question.lifetime,
            by=question.by,
        )

    async def list_tokens(self, question: ListTokens, *, tenant: str) -> list[TokenView]:
        """Return the tokens that somebody of a tenant may see."""
        wanted = question.tenant if tenant == self.home else tenant
        return await self.registry.list(wanted)

    async def revoke_token(self, question: RevokeToken, *, tenant: str) -> list[TokenView]:
        """Revoke tokens, and let every control process know."""
        if bool(question.id) == bool(question.name):
            raise UsageError("a token is revoked by its id or by its name")
        wanted = question.tenant if tenant == self.home else tenant
        gone = await self.registry.revoke(id=question.id, name=question.name, tenant=wanted)
        await self._tell()
        return gone

    async def rotate_keys(self, question: RotateKeys, *, tenant: str) -> Rotated:
        """Sign with a new key; for administrators of the whole cluster."""
        self._check(self.home, tenant)
        rotated = await self.registry.rotate(question.id, revoke_old=question.revoke_old)
        await self._tell()
        if not question.renew:
            return rotated
        issued = await self.registry.create(
            name=LOCAL_NAME, role="admin", tenant=self.home, lifetime=None, by="rotation"
        )
        return msgspec.structs.replace(rotated, renewed=issued)

    async def create_link(self, question: CreateLink, *, tenant: str) -> ApprovalLink:
        """Make an address that answers a task of an execution of the tenant."""
        return await self.links.create(question, tenant=tenant)

    async def read_audit(self, question: ReadAudit, *, tenant: str) -> AuditPage:
        """Return a page of a tenant's audit."""
        return await read_page(await self._trail(tenant), question)

    # --------------------------------------------------------------------------------------------

    def _issuer(self) -> Any:
        if self.settings.oidc is None:
            return None
        from flunq.services.identity.oidc import Issuer

        return Issuer(self.settings.oidc, clock=self._clock)

    def _check(self, wanted: str, tenant: str) -> None:
        if tenant not in (self.home, wanted):
            raise RejectedError(
                f"tenant {tenant} may not do that for tenant {wanted}",
                hint=f"the administrators of {self.home} may",
            )

    async def _stream(self, tenant: str) -> EventStream:
        if tenant not in self._streams:
            wanted = msgspec.structs.replace(self._connection, tenant=tenant)
            made = await self._stack.enter_async_context(self._make_stream(wanted))
            self._streams.setdefault(tenant, made)
        return self._streams[tenant]

    async def _trail(self, tenant: str) -> AuditTrail:
        if not self.ready.is_set():
            raise UnavailableError("the cluster was not reached yet")
        return (await self._stream(tenant)).audit

    async def _tell(self) -> None:
        await (await self._stream(self.home)).requests.notify(identity_subject(), b"")

    async def _about_tokens(self, payload: bytes) -> bytes | None:
        tenant = tenant_of(asker.get().subject)

        async def value() -> Any:
            question = msgspec.json.decode(payload, type=TokenQuestion)
            if isinstance(question, CreateToken):
                return await self.create_token(question, tenant=tenant)
            if isinstance(question, ListTokens):
                return await self.list_tokens(question, tenant=tenant)
            if isinstance(question, RevokeToken):
                return await self.revoke_token(question, tenant=tenant)
            if isinstance(question, CreateLink):
                return await self.create_link(question, tenant=tenant)
            return await self.rotate_keys(question, tenant=tenant)

        return await _answered(value)

    async def _about_audit(self, payload: bytes) -> bytes | None:
        tenant = tenant_of(asker.get().subject)

        async def value() -> Any:
            question = msgspec.json.decode(payload, type=ReadAudit)
            return await self.read_audit(question, tenant=tenant)

        return await _answered(value)


async def _answered(value: Callable[[], Awaitable[Any]]) -> bytes | None:
    try:
        return given(await value())
    except AnsweredElsewhereError:
        return None
    except (FlunqError, msgspec.MsgspecError) as error:
        return refused(error)
    except (*_TROUBLE, RevisionConflictError) as error:
        return refused(UnavailableError("the cluster's store does not answer", reason=str(error)))
