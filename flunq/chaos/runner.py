"""One run: a cluster, a workload, a row of faults, and the check at the end."""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from typing import TYPE_CHECKING

from flunq.chaos import checking
from flunq.chaos.cluster import ChaosCluster, chaos_cluster
from flunq.chaos.faults import Fault, draw_faults, usable
from flunq.chaos.options import ChaosOptions, ChaosReport, FaultReport
from flunq.chaos.watching import JournalWatch
from flunq.chaos.workload import Workload
from flunq.client import Client
from flunq.log.select import event_stream

if TYPE_CHECKING:
    from collections.abc import Callable

    Tell = Callable[[str], None]


async def run_chaos(options: ChaosOptions, tell: Tell, *, document: str = "") -> ChaosReport:
    """Run the workload under faults; ``document`` is how the user named the workflow."""
    names = usable(options.faults, options.nodes)
    faults = draw_faults(options.seed, names, options.rounds)
    began = time.monotonic()
    tell("starting a cluster")
    async with (
        chaos_cluster(options) as cluster,
        Client(event_stream(cluster.settings())) as client,
        JournalWatch(cluster.settings(engine=True)) as watch,
    ):
        work = Workload(client, options)
        await work.prepare()
        async with asyncio.TaskGroup() as group:
            group.create_task(work.run())
            injecting = group.create_task(_inject(faults, cluster, work, options, tell))
        tell("checking what the journal holds")
        await cluster.until_ready()
        archive = await watch.archive()
        broken = [*work.broken, *checking.check(archive, work.acknowledged)]
        broken += [
            f"lost: nothing was accepted after {f.kind}"
            for f in injecting.result()
            if f.next_start is None
        ]
        return ChaosReport(
            seed=options.seed,
            nodes=options.nodes,
            workers=options.workers,
            durability=options.durability,
            seconds=round(time.monotonic() - began, 1),
            acknowledged=len(work.acknowledged),
            statuses=work.statuses(),
            events=sum(len(story.events) for story in archive.stories.values()),
            commits=watch.commits,
            counts=checking.count(broken),
            faults=injecting.result(),
            broken=broken,
            repeat=repeat_command(options, document),
        )


async def _inject(
    faults: list[Fault], cluster: ChaosCluster, work: Workload, options: ChaosOptions, tell: Tell
) -> list[FaultReport]:
    """Spread the faults over the work; each is over before the next begins."""
    reports = []
    for number, fault in enumerate(faults, 1):
        await work.reached(options.executions * number // (len(faults) + 1))
        await cluster.until_ready()
        names = await cluster.targets(fault)
        tell(f"{number}/{len(faults)}: {fault.kind} ({', '.join(names)})")
        async with asyncio.TaskGroup() as group:
            group.create_task(cluster.inject(names, fault))
            probing = group.create_task(work.probe(number, time.monotonic))
        first, every = probing.result()
        reports.append(
            FaultReport(
                number=number,
                kind=fault.kind,
                target=", ".join(names),
                lasted=fault.seconds,
                next_start=_rounded(first),
                recovered=_rounded(every),
            )
        )
    return reports


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def repeat_command(options: ChaosOptions, document: str) -> str:
    """Return the command line that repeats a run."""
    words = ["flunq", "chaos"]
    if document:
        words.append(document)
    words += ["--seed", str(options.seed), "--executions", str(options.executions)]
    words += ["--rounds", str(options.rounds), "--workers", str(options.workers)]
    if options.nodes != 1:
        words += ["--nodes", str(options.nodes)]
    if options.faults:
        words += ["--faults", ",".join(options.faults)]
    if options.durability != "strict":
        words += ["--durability", options.durability]
    for named in options.functions:
        words += ["--functions", named]
    if options.input is not None:
        words += ["-i", json.dumps(options.input)]
    return shlex.join(words)
