"""The ports on NATS JetStream.

The supervisor needs ``server`` alone; the client library is imported when an adapter is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flunq.log.nats.database import NatsDatabase
    from flunq.log.nats.stream import NatsEventStream

__all__ = ["NatsDatabase", "NatsEventStream"]


def __getattr__(name: str) -> object:
    if name == "NatsEventStream":
        from flunq.log.nats.stream import NatsEventStream

        return NatsEventStream
    if name == "NatsDatabase":
        from flunq.log.nats.database import NatsDatabase

        return NatsDatabase
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
