"""The tenants and nodes of a cluster, for those who tend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar

import msgspec

from flunq.client.presence import ask_when_there
from flunq.client.refusals import value_of
from flunq.core.protocol import node_subject
from flunq.core.tenancy import (
    ADMIN_SUBJECT,
    Access,
    AdminQuestion,
    Created,
    CreateTenant,
    Deleted,
    DeleteTenant,
    Keeping,
    ListNodes,
    ListTenants,
    NodeView,
    Quotas,
    ShowAccess,
    ShowTenant,
    TenantRecord,
    TenantView,
    UpdateTenant,
)
from flunq.errors import RejectedError, UnavailableError
from flunq.log.ports import NoResponderError, NotPermittedError, RequestTimeoutError

if TYPE_CHECKING:
    from flunq.log.ports import Requests

T = TypeVar("T")
Records: TypeAlias = list[TenantRecord]
Nodes: TypeAlias = list[NodeView]
METRICS_SECONDS = 1.0
PATIENCE = 60.0
"""Deleting waits for every node to let go, and for files to be written anew."""
LOOK_SECONDS = 10.0
"""What only looks has its answer by then, or the control process hangs."""


class Tenants:
    """``client.tenants``; only an administrator of the cluster is answered."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def list(self) -> Records:
        """Return all tenants, by name."""
        return await self._look(ListTenants(), Records)

    async def show(self, name: str) -> TenantView:
        """Return a tenant with what it uses."""
        return await self._look(ShowTenant(name=name), TenantView)

    async def create(
        self,
        name: str,
        *,
        partitions: int | None = None,
        quotas: Quotas | None = None,
        retention: Keeping | None = None,
    ) -> Created:
        """Make a tenant; raises ConflictError if there is one of that name."""
        question = CreateTenant(
            name=name,
            partitions=partitions,
            quotas=quotas or Quotas(),
            retention=retention or Keeping(),
        )
        return await self._change(question, Created)

    async def update(
        self,
        name: str,
        *,
        quotas: dict[str, int | float | None] | None = None,
        retention: dict[str, int | float | None] | None = None,
    ) -> TenantRecord:
        """Change what is given; None takes a limit away."""
        question = UpdateTenant(name=name, quotas=quotas or {}, retention=retention or {})
        return await self._change(question, TenantRecord)

    async def delete(self, name: str) -> Deleted:
        """Delete a tenant with all it has."""
        return await self._change(DeleteTenant(name=name), Deleted)

    async def access(self, name: str) -> Access:
        """Return how the programs of a tenant log in to NATS."""
        return await self._look(ShowAccess(name=name), Access)

    async def nodes(self) -> Nodes:
        """Return the engine nodes that are alive."""
        return await self._look(ListNodes(), Nodes)

    async def metrics(self, node: str) -> str | None:
        """Return the metrics of a node as Prometheus reads them; None if it does not answer."""
        try:
            body = await self._requests.request(
                node_subject(node, "metrics"), b"", timeout=METRICS_SECONDS
            )
        except (NoResponderError, RequestTimeoutError, NotPermittedError):
            return None
        return body.decode()

    async def _look(self, question: AdminQuestion, kind: type[T]) -> T:
        try:
            return await self._ask(question, kind, LOOK_SECONDS)
        except RequestTimeoutError:
            raise UnavailableError(
                f"the control process does not answer within {LOOK_SECONDS:g} s",
                hint="see what hangs with: flunq status",
            ) from None

    async def _change(self, question: AdminQuestion, kind: type[T]) -> T:
        try:
            return await self._ask(question, kind, PATIENCE)
        except RequestTimeoutError:
            raise UnavailableError(
                "the control process did not answer in time; it may still be at work",
                hint="look with: flunq tenants list",
            ) from None

    async def _ask(self, question: AdminQuestion, kind: type[T], patience: float) -> T:
        payload = msgspec.json.encode(question)
        try:
            # Once only: a copy would find the work of the first.
            body = await ask_when_there(self._requests, ADMIN_SUBJECT, payload, timeout=patience)
        except NoResponderError:
            raise UnavailableError(
                "no control process answers", hint="see what runs with: flunq status"
            ) from None
        except NotPermittedError:
            raise RejectedError(
                "only an administrator of the cluster may do that",
                hint="choose the cluster's own context: flunq context list",
            ) from None
        return msgspec.json.decode(value_of(body), type=kind)
