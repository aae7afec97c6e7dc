"""The commands of flunq: name, module, one line of help and the heading they are listed under.

Reading this table imports nothing, so that ``flunq --help`` stays fast however many there are.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One command of the table."""

    module: str
    help: str
    heading: str


def _entries(heading: str, **commands: str) -> dict[str, Entry]:
    return {
        name: Entry(f"flunq.cli.commands.{name}", text, heading) for name, text in commands.items()
    }


COMMANDS: dict[str, Entry] = {
    **_entries(
        "Cluster",
        up="Start a local cluster and show its state until Ctrl-C.",
        down="Stop the local cluster.",
        status="Show the health of every part of the cluster.",
        logs="Show the merged logs of the cluster.",
        lake="See and tend the archive of everything that ever happened.",
        doctor="Check this machine and the cluster, with a remedy for each finding.",
        serve="Run one service of the cluster in this process.",
    ),
    **_entries(
        "Workflows",
        run="Run a workflow document and print its output.",
        validate="Check workflow documents without running them.",
        convert="Convert a Serverless Workflow 0.8 document into version 1.0.",
        apply="Register workflow documents.",
        workflows="List, show and delete registered workflows.",
        schedules="See and steer what starts executions by itself.",
        secrets="Keep secrets in the cluster; list and delete them.",
        expr="Try an expression on some JSON.",
    ),
    **_entries(
        "Executions",
        start="Start a registered workflow.",
        list="List executions, newest first.",
        get="Show one execution.",
        result="Print the output of an execution, waiting for it if need be.",
        wait="Wait until an execution has ended.",
        history="Show every event of an execution.",
        export="Write an execution into a file, or the history as Parquet.",
        cancel="Cancel an execution.",
        suspend="Pause an execution.",
        resume="Let a suspended execution go on.",
        delete="Delete the record of a finished execution.",
    ),
    **_entries(
        "Events",
        emit="Publish a CloudEvent.",
        tail="Follow events as they happen.",
        tui="Watch and steer everything from one screen.",
        sql="Ask anything about the past, in SQL.",
    ),
    **_entries(
        "Setup",
        context="Name the clusters you talk to and choose one.",
        config="Show settings and where each comes from.",
        completion="Print or install shell completion.",
        bench="Measure this machine: throughput, latency, timers, footprint.",
        help="Show help for a command or a topic.",
    ),
}
