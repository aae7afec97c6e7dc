"""Tenants and nodes as ``-o json`` prints them, and as rows of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.cli.tables import Column, render_time
from flunq.core.amounts import render_bytes, render_duration
from flunq.core.events import timestamp

if TYPE_CHECKING:
    from flunq.core.tenancy import Access, NodeView, TenantRecord, TenantView

TENANT_COLUMNS = (
    Column("name", whole=True),
    Column("state", kind="status"),
    Column("partitions", kind="number"),
    Column("quotas"),
    Column("retention"),
    Column("created_at", "created", kind="time"),
)
NODE_COLUMNS = (
    Column("name", whole=True),
    Column("state", kind="status"),
    Column("roles"),
    Column("tasks"),
    Column("open", kind="number"),
    Column("partitions", kind="number"),
    Column("tenants", kind="number"),
    Column("memory", kind="bytes"),
    Column("started_at", "started", kind="time"),
    Column("seen_at", "last seen", kind="time"),
)


def tenant_json(record: TenantRecord) -> dict[str, Any]:
    """Return a tenant with all its members; a quota that is null is no limit."""
    return {
        **msgspec.to_builtins(record),
        "quotas": msgspec.structs.asdict(record.quotas),
        "retention": msgspec.structs.asdict(record.retention),
        "created_at": timestamp(record.created_at) if record.created_at else None,
    }


def tenant_row(record: TenantRecord) -> dict[str, Any]:
    """Return the row of a table."""
    return {
        **tenant_json(record),
        "quotas": _quotas(record),
        "retention": _retention(record),
    }


def view_json(view: TenantView) -> dict[str, Any]:
    """Return a tenant with what it uses."""
    return {**tenant_json(view.tenant), "use": msgspec.to_builtins(view.use)}


def view_lines(view: TenantView) -> list[str]:
    """Describe a tenant, and how much of each quota is used."""
    record, use = view.tenant, view.use
    quotas = record.quotas
    stored = use.journal_bytes + use.blob_bytes
    most = None if quotas.bytes is None else render_bytes(quotas.bytes)
    facts = {
        "tenant": record.name,
        "state": record.state,
        "created": render_time(timestamp(record.created_at)) if record.created_at else "-",
        "partitions": f"{record.partitions} on {use.nodes} nodes",
        "workflows": str(use.workflows),
        "executions": f"{use.executions:,} open{_of(quotas.executions)}",
        "stored": f"{render_bytes(stored)}{_of(most)} (journal {render_bytes(use.journal_bytes)}, "
        f"large values {render_bytes(use.blob_bytes)})",
        "starts": "no limit" if quotas.starts is None else f"{quotas.starts:g} in a second",
        "retention": _retention(record),
    }
    return [f"{name:<12}{value}" for name, value in facts.items()]


def access_lines(access: Access) -> list[str]:
    """Describe what the user of a tenant may do, for whoever makes it elsewhere."""
    return [
        f"user        {access.user}",
        "publish",
        *(f"  {subject}" for subject in access.publish),
        "subscribe",
        *(f"  {subject}" for subject in access.subscribe),
    ]


def access_json(access: Access) -> dict[str, Any]:
    """Return the permissions; the password is in the context and nowhere else."""
    return {
        "tenant": access.tenant,
        "user": access.user,
        "publish": access.publish,
        "subscribe": access.subscribe,
    }


def node_json(node: NodeView) -> dict[str, Any]:
    """Return a node with moments as date-times."""
    return {
        **msgspec.to_builtins(node),
        "tenants": {
            name: {"partitions": load.partitions, "open": load.open}
            for name, load in node.tenants.items()
        },
        "started_at": timestamp(node.started_at),
        "seen_at": timestamp(node.seen_at) if node.seen_at else None,
    }


def node_row(node: NodeView) -> dict[str, Any]:
    """Return the row of a table."""
    seen = bool(node.seen_at)
    return {
        **node_json(node),
        "state": "leaving" if node.leaving else "ready" if seen else "silent",
        "roles": " ".join(node.roles),
        "tasks": f"{node.running} of {node.capacity}",
        "open": sum(load.open for load in node.tenants.values()),
        "partitions": sum(len(load.partitions) for load in node.tenants.values()),
        "tenants": len(node.tenants),
        "memory": node.memory if seen else None,
    }


def _of(most: object) -> str:
    if most is None:
        return ""
    return f" of {most:,}" if isinstance(most, int) else f" of {most}"


def _quotas(record: TenantRecord) -> str:
    quotas = record.quotas
    words = []
    if quotas.executions is not None:
        words.append(f"{quotas.executions:,} open")
    if quotas.starts is not None:
        words.append(f"{quotas.starts:g}/s")
    if quotas.bytes is not None:
        words.append(render_bytes(quotas.bytes))
    return ", ".join(words) or "-"


def _retention(record: TenantRecord) -> str:
    kept = record.retention
    words = []
    if kept.after is not None:
        words.append(render_duration(kept.after))
    if kept.keep is not None:
        words.append(f"{kept.keep:,} of each workflow")
    return ", ".join(words) or "as the cluster's"
