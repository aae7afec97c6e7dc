"""``flunq run``: validate, register, start, wait and print the output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flunq.cli.engine import PriorityOption, TagsOption, read_tags
from flunq.cli.options import (
    FileArgument,
    InputOption,
    NewIdOption,
    TimeoutOption,
    TraceparentOption,
    trace_context,
)
from flunq.errors import UsageError

DetachOption = Annotated[
    bool, typer.Option("--detach", help="Print the id and return; needs a cluster.")
]
TraceOption = Annotated[
    bool, typer.Option("--trace", help="Add events, lifecycle and tasks to the JSON.")
]
FunctionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--functions", metavar="MODULE|FILE", help="Python functions to host; repeatable."
    ),
]
IncludeOption = Annotated[
    list[Path] | None,
    typer.Option("--include", metavar="FILE", help="Register this too; repeatable."),
]
EventsOption = Annotated[
    Path | None,
    typer.Option("--events", metavar="FILE", help="CloudEvents to publish once it has started."),
]
SecretsOption = Annotated[
    Path | None,
    typer.Option("--secrets", metavar="FILE", help="Secrets by name; only with --private."),
]
PrivateOption = Annotated[
    bool | None,
    typer.Option(
        "--private/--no-private",
        help="Use a cluster of its own, which ends with it [if none runs].",
        rich_help_panel="Connection",
    ),
]


async def command(
    file: FileArgument,
    input: InputOption = None,
    id: NewIdOption = None,
    tag: TagsOption = None,
    priority: PriorityOption = None,
    within: TimeoutOption = None,
    detach: DetachOption = False,
    trace: TraceOption = False,
    functions: FunctionsOption = None,
    include: IncludeOption = None,
    events: EventsOption = None,
    secrets: SecretsOption = None,
    private: PrivateOption = None,
    traceparent: TraceparentOption = None,
) -> int:
    """Run a workflow document and print its output.

    $ flunq run examples/hello.yaml

    $ flunq run order.yaml -i @order.json --functions shop/steps.py

    $ flunq run order.yaml -o json --trace | jq .tasks

    With no cluster running it starts one for itself and removes it afterwards. The exit code is 0
    when the execution completed, 1 when it faulted or was cancelled, 3 when the document is
    rejected.
    """
    from flunq.cli.running_documents import RunOptions, run_document

    if str(file) == "-" and input == "-":
        raise UsageError("the document and its input cannot both come from stdin")
    options = RunOptions(
        file=file,
        input=input,
        id=id,
        tags=read_tags(tag),
        priority=priority,
        within=within,
        detach=detach,
        trace=trace,
        functions=tuple(functions or ()),
        include=tuple(include or ()),
        events=events,
        secrets=secrets,
        private=private,
        traceparent=trace_context(traceparent),
    )
    return await run_document(options)
