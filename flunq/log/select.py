"""Choose the backends: ``EVENT_STREAM_TYPE`` and ``DB_TYPE`` name installed entry points.

The built-in backends are registered through the same two groups as anybody else's, so that a
package can bring its own without touching flunq.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import msgspec

from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flunq.log.ports import Database, EventStream

EVENT_STREAMS = "flunq.event_streams"
DATABASES = "flunq.databases"
DEFAULT_BACKEND = "nats"


_HERE = ("127.0.0.1", "::1", "localhost")
CALM_SECONDS = 10.0


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every backend is constructed from."""

    url: str = "nats://127.0.0.1:4222"
    """Where the broker is; several servers are separated by commas."""
    tenant: str = "default"
    user: str | None = None
    password: str | None = None
    replicas: int = 1
    """Copies of each stream; more than one needs a cluster."""
    durability: Literal["strict", "fast"] = "strict"
    name: str = "flunq"
    """Shown in the broker's list of connections."""
    lease_ttl: float = 3.0
    """Seconds after which a lease that nobody renewed vanishes."""
    ca: str | None = None
    """File with the certificates that the broker's is checked against; None: the system's."""
    claim: str = ""
    """What this process says of its user, for the record of what was done."""
    proof: str = ""
    """Tells other processes of the cluster that this one is of theirs; never shown."""
    ping_seconds: float = 1.0
    """How often the broker is asked for a sign of life; three that miss it end the connection."""
    calm_seconds: float = 0.0
    """How long it is not asked if nothing was sent to it; less than the above counts as that."""
    ack_wait: float = 30.0
    """Seconds after which a task that nobody finished or extended is delivered again."""

    def __repr__(self) -> str:
        return f"StreamSettings(url={self.url!r}, tenant={self.tenant!r}, name={self.name!r})"


def calm_seconds(url: str) -> float:
    """Return how long a process of the cluster, when it asks for nothing, may hear nothing.

    The only broker, on this machine, is silent while it is stopped: leaving it would not help.
    """
    is_alone = "," not in url and urlsplit(url).hostname in _HERE
    return CALM_SECONDS if is_alone else 0.0


def event_stream(
    settings: StreamSettings, *, environ: Mapping[str, str] = os.environ
) -> EventStream:
    """Return the event stream that ``EVENT_STREAM_TYPE`` names (default ``nats``)."""
    stream: EventStream = _load(EVENT_STREAMS, "EVENT_STREAM_TYPE", environ)(settings)
    return stream


def database(settings: StreamSettings, *, environ: Mapping[str, str] = os.environ) -> Database:
    """Return the database that ``DB_TYPE`` names (default ``nats``)."""
    chosen: Database = _load(DATABASES, "DB_TYPE", environ)(settings)
    return chosen


@cache
def installed(group: str) -> dict[str, EntryPoint]:
    """Return the backends of a group by name, without loading any."""
    return {point.name: point for point in entry_points(group=group)}


def _load(group: str, variable: str, environ: Mapping[str, str]) -> Any:
    name = environ.get(variable) or DEFAULT_BACKEND
    backends = installed(group)
    if name not in backends:
        known = ", ".join(sorted(backends)) or "none"
        raise UsageError(
            f"{variable} is {name!r}, but no such backend is installed (installed: {known})",
            hint=f"unset {variable}, or install the package that provides {name!r}",
        )
    try:
        return backends[name].load()
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"the backend {name!r} of {variable} cannot be loaded: {error}",
            hint=f"reinstall the package that provides {backends[name].value}",
        ) from error
