"""``/v1/tenants``: who shares the cluster; for administrators of its home tenant alone."""

from __future__ import annotations

from typing import Annotated

import msgspec

from flunq.api.contract import ApiRoute, Call, Reply, json_reply
from flunq.core.tenancy import Created, Deleted, Keeping, Quotas, TenantRecord, TenantView

TAG = "tenants"
_PATH = "/v1/tenants"
_ONE = _PATH + "/{name}"
Count = Annotated[int, msgspec.Meta(ge=1, le=1 << 53)]
Amount = Annotated[float, msgspec.Meta(gt=0, le=1e15)]


class TenantList(msgspec.Struct, frozen=True, kw_only=True):
    """All tenants, by name."""

    items: list[TenantRecord]


class QuotaChange(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What a tenant may use; null takes a limit away."""

    executions: Count | msgspec.UnsetType | None = msgspec.UNSET
    """Executions that are open at the same time."""
    starts: Amount | msgspec.UnsetType | None = msgspec.UNSET
    """Executions started in a second."""
    bytes: Count | msgspec.UnsetType | None = msgspec.UNSET
    """Bytes of the journal and of large values."""


class KeepingChange(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """How long ended executions stay; null: as the cluster's settings say."""

    after: Annotated[float, msgspec.Meta(ge=0, le=1e12)] | msgspec.UnsetType | None = msgspec.UNSET
    """Seconds."""
    keep: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)] | msgspec.UnsetType | None = msgspec.UNSET
    """Of each workflow."""


class TenantChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be otherwise; what is not named stays."""

    quotas: QuotaChange = QuotaChange()
    retention: KeepingChange = KeepingChange()


class NewTenant(TenantChange, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tenant to make; its partitions are fixed for ever."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    partitions: Annotated[int, msgspec.Meta(ge=1, le=256)] | None = None


async def list_tenants(call: Call) -> Reply:
    """Return all of them."""
    return json_reply(TenantList(items=await call.client.tenants.list()))


async def create(call: Call) -> Reply:
    """Make a tenant; its user of NATS can log in when this answers."""
    body: NewTenant = call.body
    call.target = body.name
    made = await call.client.tenants.create(
        body.name,
        partitions=body.partitions,
        quotas=msgspec.convert(msgspec.to_builtins(body.quotas), Quotas),
        retention=msgspec.convert(msgspec.to_builtins(body.retention), Keeping),
    )
    headers = {"location": f"{_PATH}/{made.tenant.name}", "cache-control": "no-store"}
    return json_reply(made, status=201, headers=headers)


async def show(call: Call) -> Reply:
    """Return a tenant with what it uses."""
    return json_reply(await call.client.tenants.show(call.parameters["name"]))


async def update(call: Call) -> Reply:
    """Change quotas and retention."""
    body: TenantChange = call.body
    changed = await call.client.tenants.update(
        call.parameters["name"],
        quotas=msgspec.to_builtins(body.quotas),
        retention=msgspec.to_builtins(body.retention),
    )
    return json_reply(changed)


async def delete(call: Call) -> Reply:
    """Delete a tenant with all it has."""
    return json_reply(await call.client.tenants.delete(call.parameters["name"]))


ROUTES = (
    ApiRoute(
        method="GET",
        path=_PATH,
        endpoint=list_tenants,
        name="listTenants",
        tag=TAG,
        role="admin",
        cluster=True,
        answer=TenantList,
        summary="List the tenants.",
    ),
    ApiRoute(
        method="POST",
        path=_PATH,
        endpoint=create,
        name="createTenant",
        tag=TAG,
        role="admin",
        cluster=True,
        body=NewTenant,
        answer=Created,
        status=201,
        summary="Make a tenant, and a user of NATS that sees nothing else.",
        description="The user's password is part of the answer, where the servers are flunq's own.",
        example={"name": "acme", "partitions": 2, "quotas": {"executions": 10000}},
    ),
    ApiRoute(
        method="GET",
        path=_ONE,
        endpoint=show,
        name="getTenant",
        tag=TAG,
        role="admin",
        cluster=True,
        answer=TenantView,
        summary="Show a tenant, its quotas and what it uses of them.",
    ),
    ApiRoute(
        method="PATCH",
        path=_ONE,
        endpoint=update,
        name="updateTenant",
        tag=TAG,
        role="admin",
        cluster=True,
        body=TenantChange,
        answer=TenantRecord,
        summary="Change quotas and retention; quotas hold at once.",
        example={"quotas": {"starts": 50, "bytes": None}},
    ),
    ApiRoute(
        method="DELETE",
        path=_ONE,
        endpoint=delete,
        name="deleteTenant",
        tag=TAG,
        role="admin",
        cluster=True,
        answer=Deleted,
        summary="Delete a tenant with everything it has; nothing brings it back.",
    ),
)
