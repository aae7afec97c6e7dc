"""Recovers partitions a second time, beside the cluster: from the whole journal, or as it lies.

The journal alone must give what journal and checkpoint together give, at any moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.engines.jq_inline import InlineEngine
from flunq.log.memory import MemoryBroker, MemoryDatabase, MemoryEventStream
from flunq.log.select import StreamSettings
from flunq.services.worker.context import WorkerContext, WorkerSettings
from flunq.services.worker.definitions import Definitions
from flunq.services.worker.packs import Packs, StaleCheckpointError
from flunq.services.worker.recovery import Recovery, finished_from_pack, live_from_pack

if TYPE_CHECKING:
    from flunq.core.execution.state import State
    from flunq.services.worker.executions import Finished
    from flunq.services.worker.recovery import Recovered
    from flunq.testing.cluster import Cluster

TENANT = "default"
Found = dict[str, "State | Finished"]


async def differences(cluster: Cluster) -> list[str]:
    """Recover with and without the checkpoints, and tell what is not the same."""
    alone = await recover(cluster, with_checkpoints=False)
    try:
        together = await recover(cluster, with_checkpoints=True)
    except StaleCheckpointError as error:
        return [f"a new owner could not recover: {error}"]
    problems: list[str] = []
    for execution in sorted(alone.keys() | together.keys()):
        left, right = alone.get(execution), together.get(execution)
        if left != right:
            problems.append(
                f"{execution}: the journal alone gives {_brief(left)},"
                f" with the checkpoint {_brief(right)}"
            )
    return problems


async def recover(cluster: Cluster, *, with_checkpoints: bool) -> Found:
    """Return every execution as a new owner would find it now."""
    context = _context(cluster, with_checkpoints=with_checkpoints)
    found: Found = {}
    for number in range(cluster.shape.partitions):
        packs = Packs(context.database.state, context.database.blobs, TENANT, number)
        recovered = await Recovery(context, number, packs).run(lambda: True)
        assert recovered is not None
        found.update(await _all(context, recovered, packs))
        recovered.executions.places.close()
    context.places.close()
    return found


def _context(cluster: Cluster, *, with_checkpoints: bool) -> WorkerContext:
    broker = _copy(cluster, with_checkpoints=with_checkpoints)
    settings = StreamSettings(url="memory://copy", tenant=TENANT, name="copy")
    stream, store = MemoryEventStream(settings, broker), MemoryDatabase(settings, broker)
    nobody: Any = None
    return WorkerContext(
        WorkerSettings(partitions=cluster.shape.partitions, node="copy"),
        stream=stream,
        database=store,
        clock=cluster.clock,
        definitions=Definitions(store.definitions, TENANT, cluster.clock, store.blobs),
        dispatcher=nobody,
        engine=InlineEngine(),
        courier=nobody,
    )


def _copy(cluster: Cluster, *, with_checkpoints: bool) -> MemoryBroker:
    wire = cluster.wire
    broker = MemoryBroker(now=cluster.clock.now)
    broker.logs[f"{TENANT}/journal"] = wire.journal.copy(whole=not with_checkpoints)
    broker.blobs = dict(wire.blobs)
    broker.buckets["definitions"] = wire.bucket("definitions")
    broker.ensure_bucket("state")
    if with_checkpoints:
        state = wire.bucket("state")
        for key in state.keys(""):
            entry = state.get(key)
            assert entry is not None
            broker.bucket("state").put(key, entry.value)
    return broker


async def _all(context: WorkerContext, recovered: Recovered, packs: Packs) -> Found:
    executions = recovered.executions
    found: Found = {one: ended for one, (ended, _, _) in executions.finished.items()}
    for one, live in executions.live.items():
        if live.state is not None and one not in found:
            found[one] = live.state
    for place in list(executions.places):
        one = place.id
        if one in found:
            continue
        item = (await packs.load(place.pack))[one]
        if item.ended:
            found[one] = finished_from_pack(item)
            continue
        state = (await live_from_pack(context, item)).state
        assert state is not None
        found[one] = state
    return found


def _brief(found: State | Finished | None) -> str:
    return "nothing" if found is None else f"{found.status} at {found.seq}: {found}"
