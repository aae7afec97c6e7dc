"""Who should own what: rendezvous hashing over the nodes that are alive.

This only says who *should* own a partition. Who *does* is said by the journal's fence.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from flunq.core.tenancy import TenantLoad

if TYPE_CHECKING:
    from collections.abc import Iterable


class NodeLease(msgspec.Struct, kw_only=True):
    """What a live node says of itself."""

    incarnation: str
    tenants: dict[str, TenantLoad] = {}
    """The tenants it serves, and what it has of each."""
    kinds: list[str] = []
    """The tasks it runs."""
    roles: list[str] = []
    capacity: int = 0
    started_at: int = 0
    pid: int = 0
    leaving: bool = False


def role_name(tenant: str, partition: int, total: int) -> str:
    """Return the name of a partition's role, as it is shown to people."""
    return f"{tenant}-partition-{partition}-of-{total}"


def assigned_node(role: str, nodes: Iterable[str]) -> str | None:
    """Return the node that should hold a role; None if there is none."""
    return max(nodes, key=lambda node: (_weight(role, node), node), default=None)


def _weight(role: str, node: str) -> bytes:
    return blake2b(f"{role}\0{node}".encode(), digest_size=8).digest()
