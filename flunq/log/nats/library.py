"""nats-py, without what it imports for WebSockets alone where that is installed.

That is aiohttp, and takes longer to import than all else that a command needs.
"""

from __future__ import annotations

from flunq.log.nats.postponing import postponed

with postponed("aiohttp"):
    from nats import errors
    from nats.aio.client import Client
    from nats.aio.subscription import Subscription

__all__ = ["Client", "Subscription", "errors"]
