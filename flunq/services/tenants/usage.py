"""How a node is: what it runs, of whom, and the memory that takes."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from flunq.core.tenancy import NodeView

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flunq.core.tenancy import TenantLoad
    from flunq.services.tenants.runtime import Host, TenantRuntime

_STATM = Path("/proc/self/statm")


def node_view(host: Host, runtimes: Iterable[TenantRuntime]) -> NodeView:
    """Describe this node."""
    lease = host.membership.lease
    return NodeView(
        name=host.membership.node,
        roles=lease.roles,
        kinds=lease.kinds,
        tenants={runtime.tenant: _load(runtime) for runtime in runtimes},
        running=len(host.shares.pool.running()),
        capacity=lease.capacity,
        memory=memory_bytes(),
        started_at=lease.started_at,
        seen_at=host.clock.now(),
        pid=lease.pid,
        leaving=lease.leaving,
    )


def memory_bytes() -> int:
    """Return the memory of this process that is in RAM."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        # Elsewhere only the highest value so far is known, in KiB.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _load(runtime: TenantRuntime) -> TenantLoad:
    manager = runtime.manager
    return msgspec.structs.replace(manager.load(), open=manager.open_executions())
