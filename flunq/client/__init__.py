"""The Python client of a cluster.

``connect()`` finds the cluster as the ``flunq`` command does; ``blocking.connect()`` is the same
for code without an event loop.
"""

from __future__ import annotations

from flunq.client.client import Client
from flunq.client.connecting import connect
from flunq.client.run import Run

__all__ = ["Client", "Run", "connect"]
