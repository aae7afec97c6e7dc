"""One run: a cluster, a workload, a row of faults, and the check at the end."""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from typing import TYPE_CHECKING

from flunq.chaos import checking
from flunq.chaos.bursts import BURSTS, FAULTS, SIZES, STARTS, TIMERS, Stage, lateness
from flunq.chaos.cluster import chaos_cluster
from flunq.chaos.faults import draw_faults, usable
from flunq.chaos.options import ChaosReport
from flunq.chaos.watching import ArchiveWatch, TallyWatch
from flunq.chaos.workload import Workload
from flunq.client import Client
from flunq.log.select import event_stream

if TYPE_CHECKING:
    from flunq.chaos.bursts import Tell
    from flunq.chaos.cluster import ChaosCluster
    from flunq.chaos.faults import Fault
    from flunq.chaos.options import ChaosOptions
    from flunq.chaos.watching import JournalWatch


async def run_chaos(options: ChaosOptions, tell: Tell, *, document: str = "") -> ChaosReport:
    """Run a scenario under faults; ``document`` is how the user named the workflow."""
    names = usable(options.faults, options.nodes)
    began = time.monotonic()
    tell("starting a cluster")
    async with (
        chaos_cluster(options) as cluster,
        Client(event_stream(cluster.settings())) as client,
        _watch_for(options, cluster) as watch,
    ):
        work = Workload(client, options)
        await work.prepare()
        stage = Stage(cluster, client, work, watch, options, tell)
        if options.scenario == FAULTS:
            await _endure(stage, draw_faults(options.seed, names, options.rounds))
        else:
            await BURSTS[options.scenario].run(stage)
        tell("checking what the journal holds")
        await cluster.until_ready()
        await watch.finish()
        broken = [*work.broken, *watch.verdict(work.acknowledged)]
        broken += [
            f"lost: nothing was accepted after {f.kind}"
            for f in stage.reports
            if f.next_start is None
        ]
        return ChaosReport(
            seed=options.seed,
            scenario=options.scenario,
            nodes=options.nodes,
            workers=options.workers,
            durability=options.durability,
            seconds=round(time.monotonic() - began, 1),
            acknowledged=len(work.acknowledged),
            statuses=work.statuses(),
            events=watch.events,
            commits=watch.commits,
            counts=checking.count(broken),
            faults=stage.reports,
            figures={**stage.figures, **_measured(options, watch)},
            broken=broken,
            repeat=repeat_command(options, document),
        )


def _watch_for(options: ChaosOptions, cluster: ChaosCluster) -> JournalWatch:
    settings = cluster.settings(engine=True)
    return TallyWatch(settings) if options.scenario == STARTS else ArchiveWatch(settings)


def _measured(options: ChaosOptions, watch: JournalWatch) -> dict[str, float]:
    if options.scenario == TIMERS and isinstance(watch, ArchiveWatch):
        return lateness(watch.archive)
    return {}


async def _endure(stage: Stage, faults: list[Fault]) -> None:
    """Spread the faults over the work; each is over before the next begins."""
    executions = stage.options.executions
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.work.run())
        for number, fault in enumerate(faults, 1):
            await stage.work.reached(executions * number // (len(faults) + 1))
            await stage.strike(fault, f"{number}/{len(faults)}")


def repeat_command(options: ChaosOptions, document: str) -> str:
    """Return the command line that repeats a run."""
    words = ["flunq", "chaos"]
    if document:
        words.append(document)
    if options.scenario != FAULTS:
        words += ["--scenario", options.scenario, "--count", str(options.count)]
    if options.patience == SIZES["full"].patience:
        words += ["--size", "full"]
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
