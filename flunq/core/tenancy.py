"""What is said of tenants and nodes, and to whoever tends them: shapes and subjects."""

from __future__ import annotations

import msgspec

from flunq.core.ids import token

ADMIN_SUBJECT = "flunq.admin.cluster"
"""Where a control process answers about the cluster as a whole; tenants' users may not ask."""
TENANTS_CHANGED = "flunq.node.tenants"
"""Where nodes hear that a tenant came, changed or goes."""
TENANT_USERS = "tenant"
CREATING, READY, DELETING = "creating", "ready", "deleting"


class Quotas(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a tenant may use; None: as much as there is."""

    executions: int | None = None
    """Executions that are open at the same time."""
    starts: float | None = None
    """Executions started in a second."""
    bytes: int | None = None
    """Bytes of the journal and of large values."""


class Keeping(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long ended executions stay; None: as the cluster's settings say."""

    after: float | None = None
    """Seconds."""
    keep: int | None = None
    """Of each workflow."""


class TenantRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant, as it is stored."""

    name: str
    partitions: int
    replicas: int = 1
    quotas: Quotas = Quotas()
    retention: Keeping = Keeping()
    state: str = CREATING
    created_at: int = 0


class TenantUse(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant uses now."""

    executions: int = 0
    journal_bytes: int = 0
    blob_bytes: int = 0
    workflows: int = 0
    nodes: int = 0
    """Engine nodes that own partitions of it."""


class TenantView(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant with what it uses."""

    tenant: TenantRecord
    use: TenantUse = TenantUse()


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How the programs of a tenant log in to NATS."""

    tenant: str
    user: str
    password: str = ""
    """Empty where the servers are not flunq's own: whoever keeps them makes the user."""
    publish: list[str]
    subscribe: list[str]

    def __repr__(self) -> str:
        return f"Access({self.tenant!r})"


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """A new tenant, and how to reach it."""

    tenant: TenantRecord
    access: Access


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What went with a tenant."""

    name: str
    streams: int = 0
    keys: int = 0
    archive: bool = False
    done: bool = True


class TenantLoad(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one node does for one tenant."""

    partitions: list[int] = []
    """Those it owns, or is taking over or handing over."""
    open: int = 0
    """Executions that are open in them."""


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    """One engine node, as it is shown."""

    name: str
    roles: list[str]
    kinds: list[str]
    tenants: dict[str, TenantLoad]
    running: int
    capacity: int
    memory: int
    started_at: int
    seen_at: int
    pid: int
    leaving: bool


class CreateTenant(msgspec.Struct, frozen=True, kw_only=True, tag="create-tenant"):
    """Make a tenant; one that was half made is finished."""

    name: str
    partitions: int | None = None
    quotas: Quotas = Quotas()
    retention: Keeping = Keeping()


class UpdateTenant(msgspec.Struct, frozen=True, kw_only=True, tag="update-tenant"):
    """Change what a tenant may use; what is not given stays."""

    name: str
    quotas: dict[str, int | float | None] = {}
    retention: dict[str, int | float | None] = {}


class ListTenants(msgspec.Struct, frozen=True, kw_only=True, tag="tenants"):
    """List the tenants."""


class ShowTenant(msgspec.Struct, frozen=True, kw_only=True, tag="tenant"):
    """Show one tenant with what it uses."""

    name: str


class DeleteTenant(msgspec.Struct, frozen=True, kw_only=True, tag="delete-tenant"):
    """Delete a tenant with all it has."""

    name: str


class ShowAccess(msgspec.Struct, frozen=True, kw_only=True, tag="tenant-access"):
    """Ask what the programs of a tenant need to log in."""

    name: str


class ListNodes(msgspec.Struct, frozen=True, kw_only=True, tag="nodes"):
    """List the engine nodes that are alive."""


AdminQuestion = (
    CreateTenant | UpdateTenant | ListTenants | ShowTenant | DeleteTenant | ShowAccess | ListNodes
)


def nats_user(tenant: str) -> str:
    """Return the name of a tenant's user of NATS; it begins the subjects of its answers too."""
    return f"{TENANT_USERS}.{token(tenant)}"


def tenant_permissions(tenant: str) -> tuple[list[str], list[str]]:
    """Return what a tenant's user may publish, and what it may subscribe to.

    Nothing that a stream stores: JetStream acknowledges to whatever subject a publisher names, and
    nobody checks whether that publisher might write there, be it a journal of another tenant.
    """
    part = token(tenant)
    publish = [f"flunq.start.{part}.>", f"flunq.ask.{part}.>"]
    return publish, [f"_INBOX_{nats_user(tenant)}.>", f"flunq.feed.{part}.>"]
