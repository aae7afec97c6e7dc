"""nats-py, without what is not used of it and takes longer to import than all the rest.

That is its own JetStream, and aiohttp, which it imports for WebSockets where that is installed.
"""

from __future__ import annotations

from flunq.log.nats.postponing import postponed

with postponed("aiohttp"), postponed("nats.js"):
    from nats import errors
    from nats.aio.client import Client
    from nats.aio.subscription import Subscription

__all__ = ["Client", "Subscription", "errors"]
