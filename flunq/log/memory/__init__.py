"""The ports in memory: same promises, no I/O, time by the event loop's clock.

For tests and simulation. Several event streams and databases that share one
:class:`MemoryBroker` see each other as processes on one server do.
"""

from __future__ import annotations

from flunq.log.memory.broker import Faults, MemoryBroker, Operation
from flunq.log.memory.database import MemoryDatabase
from flunq.log.memory.stream import MemoryEventStream

__all__ = ["Faults", "MemoryBroker", "MemoryDatabase", "MemoryEventStream", "Operation"]
