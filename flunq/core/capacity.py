"""How full a tenant's streams are, and how far their consumers have come: shapes alone."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

COUNTED = ("journal", "blobs")
"""What a tenant's quota of bytes is about."""


class StreamUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one stream or bucket holds; moments in microseconds, None where nobody knows."""

    name: str
    kind: str
    """``journal``, ``inbox``, ``tasks`` ...: what it is for, the same on every broker."""
    messages: int = 0
    bytes: int = 0
    max_bytes: int | None = None
    """None: as much as there is room for."""
    subjects: int = 0
    first_at: int | None = None
    last_at: int | None = None
    consumers: int = 0
    """Those that the broker keeps, readers of a moment included."""
    replicas: int = 1


class ConsumerUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a durable consumer has come."""

    stream: str
    name: str
    serves: str
    """The kind of tasks that it delivers."""
    pending: int = 0
    """Never delivered so far."""
    unacked: int = 0
    """Delivered and not finished."""
    redelivered: int = 0
    """Of those, delivered more than once."""
    waiting: int = 0
    """How many requests for more are open."""
    delivered_at: int | None = None
    acked_at: int | None = None


class Capacity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of a tenant's streams and durable consumers."""

    streams: list[StreamUse] = []
    consumers: list[ConsumerUse] = []


def within_quota(stream: StreamUse, quota: int | None) -> StreamUse:
    """Return a stream with the tenant's quota of bytes as its limit, if that is the lower one."""
    if quota is None or stream.kind not in COUNTED:
        return stream
    limits = [quota] if stream.max_bytes is None else [quota, stream.max_bytes]
    return replace(stream, max_bytes=min(limits))
