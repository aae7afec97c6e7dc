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
        nodes="List the engine nodes: what they run and own, when they were seen.",
        tenants="Share the cluster: make tenants, see what they use, take them away.",
        breakers="See which targets fail, and open or close their breakers.",
        limits="Limit how many tasks run at once, and how fast they begin.",
        alerts="Be told when a query returns rows, or when events come.",
        lake="See and tend the archive of everything that ever happened.",
        backup="Save everything that a cluster holds, in one file.",
        restore="Make a data folder from a backup.",
        doctor="Check this machine and the cluster, with a remedy for each finding.",
        serve="Run one service of the cluster in this process.",
    ),
    **_entries(
        "Workflows",
        run="Run a workflow document and print its output.",
        validate="Check workflow documents without running them.",
        convert="Convert a Serverless Workflow 0.8 document into version 1.0.",
        graph="Draw a workflow: its tasks and where they go.",
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
        why="Say what an execution waits for, or why it failed, and what to do.",
        history="Show every event of an execution.",
        diff="Compare two executions, task by task.",
        export="Write an execution into a file, or the history as Parquet.",
        cancel="Cancel an execution.",
        suspend="Pause an execution.",
        resume="Let a suspended execution go on.",
        retry="Let a failed execution go on from the task that failed.",
        rewind="Take an execution back to an earlier point of its history.",
        fork="Start another execution from a point of one's history.",
        migrate="Let open executions go on with another version.",
        delete="Delete the record of a finished execution.",
        approvals="See what waits for a person, and answer.",
        dlq="See what could not be worked on, put it back or drop it.",
    ),
    **_entries(
        "Events",
        emit="Publish a CloudEvent.",
        tail="Follow events as they happen.",
        tui="Watch and steer everything from one screen.",
        sql="Ask anything about the past, in SQL.",
        mcp="Let agents look into the cluster and use workflows as tools.",
    ),
    **_entries(
        "Setup",
        tokens="Issue, list and revoke tokens of the HTTP API.",
        audit="Show who did what, from where and with which result.",
        certs="Make a private authority and certificates for TLS.",
        context="Name the clusters you talk to and choose one.",
        config="Show settings and where each comes from.",
        completion="Print or install shell completion.",
        plugins="List the plugins, and why one cannot be used.",
        chaos="Run workflows while their cluster is made to fail, and check every promise.",
        bench="Measure this machine: throughput, latency, timers, footprint.",
        help="Show help for a command or a topic.",
    ),
}
