"""What a running cluster says about itself, in ``run/cluster.json``."""

from __future__ import annotations

from typing import Literal

import msgspec

from flunq.services.supervising.layout import DataDirectory, is_locked, write_private

Phase = Literal["starting", "ready", "stopping", "not running"]
ServiceState = Literal["starting", "ready", "unhealthy", "backoff", "stopping", "stopped", "failed"]

DURABILITY_IN_WORDS: dict[str, str] = {
    "strict": "fsync before every acknowledgement",
    "fast": "fsync every 100 ms: a power cut may lose the last moments",
    "external": "decided by the NATS server that is used",
}


class ServiceStatus(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=False):
    """One supervised process."""

    name: str
    pid: int | None
    state: ServiceState
    restarts: int = 0
    reason: str | None = None
    """Why it ended the last time."""
    since: float = 0.0
    """When it entered this state, in seconds since the epoch."""


class Endpoint(msgspec.Struct, kw_only=True, frozen=True):
    """Where something listens."""

    url: str
    ca: str | None = None
    """File with the authority whose certificate it shows, with TLS."""


class NatsEndpoint(msgspec.Struct, kw_only=True, frozen=True):
    """Where NATS listens; monitors only for servers that the supervisor started."""

    url: str
    urls: list[str] = []
    monitors: list[str] = []
    external: bool = False


class ClusterState(msgspec.Struct, kw_only=True, frozen=True):
    """Everything that ``flunq status`` tells; written on each change."""

    status: Phase
    pid: int
    started_at: float
    data: str
    durability: str
    api: Endpoint
    nats: NatsEndpoint
    services: list[ServiceStatus]
    workers: int = 1
    replicas: int = 1
    functions: list[str] = []
    context: str | None = None
    version: str = ""


def write_state(directory: DataDirectory, state: ClusterState) -> None:
    """Publish the state to other processes."""
    write_private(directory.state, msgspec.json.encode(state))


def read_state(directory: DataDirectory) -> ClusterState | None:
    """Return the last state written, whether or not its cluster still runs."""
    try:
        return msgspec.json.decode(directory.state.read_bytes(), type=ClusterState)
    except (OSError, msgspec.DecodeError):
        return None


def running_state(directory: DataDirectory) -> ClusterState | None:
    """Return the state of a cluster that is alive at this moment."""
    return read_state(directory) if is_locked(directory) else None
