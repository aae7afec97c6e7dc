"""Who should own what: rendezvous hashing over the nodes that are alive, with equal shares.

This only says who *should* own a partition. Who *does* is said by the journal's fence.
"""

from __future__ import annotations

from functools import partial
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


def assigned_nodes(tenant: str, total: int, nodes: Iterable[str]) -> list[str]:
    """Return the node that should hold each partition of a tenant; empty if there is no node.

    A partition goes to the node that weighs most for it, unless that one has its fair share: no
    node gets more than one partition more than another.
    """
    names = sorted(nodes)
    if not names:
        return []
    share, larger = divmod(total, len(names))
    held = dict.fromkeys(names, 0)
    chosen: list[str] = []
    for number in range(total):
        most = share + 1 if larger else share
        free = [node for node in names if held[node] < most]
        node = max(free, key=partial(_weight, role_name(tenant, number, total)))
        larger -= held[node] == share
        held[node] += 1
        chosen.append(node)
    return chosen


def _weight(role: str, node: str) -> bytes:
    return blake2b(f"{role}\0{node}".encode(), digest_size=8).digest()
