"""What a supervisor writes of its cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.services.supervising.statefile import ClusterState, Endpoint, NatsEndpoint

if TYPE_CHECKING:
    from flunq.services.supervising.statefile import ServiceStatus


def cluster_state(*services: ServiceStatus, **changes: Any) -> ClusterState:
    """Return the state of a cluster that is ready."""
    usual: dict[str, Any] = {
        "status": "ready",
        "pid": 1,
        "started_at": 0,
        "data": "/data",
        "durability": "strict",
        "api": Endpoint(url="http://127.0.0.1:1"),
        "nats": NatsEndpoint(url="nats://127.0.0.1:2"),
    }
    return ClusterState(**{**usual, **changes}, services=list(services))
