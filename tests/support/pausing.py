"""The part of a control process that pauses workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.flow import PauseWorkflow
from flunq.services.flow.board import FlowBoard
from flunq.services.flow.pauses import Pauses
from flunq.services.flow.pausing import Pausing
from tests.support.virtual import store_of, stream_of

if TYPE_CHECKING:
    from flunq.testing.cluster import Cluster


class PauseDesk:
    """Pauses the workflows of a cluster in virtual time."""

    def __init__(self, cluster: Cluster) -> None:
        stream, store = stream_of(cluster), store_of(cluster)
        board = FlowBoard("default", stream, store, cluster.clock, node="desk")
        self.pauses = Pauses(store.definitions, "default")
        self._pausing = Pausing(board, self.pauses, stream)

    async def pause(self, name: str, **members: Any) -> tuple[int, ...]:
        """Pause a workflow; returns the partitions that did not say that they know."""
        return (await self._pausing.pause(PauseWorkflow(name=name, **members))).unheard

    async def resume(self, name: str) -> tuple[int, ...]:
        """Let it go on."""
        return (await self._pausing.resume(name)).unheard
