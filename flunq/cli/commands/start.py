"""``flunq start``: start a registered workflow."""

from __future__ import annotations

from typing import Annotated

import typer

from flunq.cli import diagnostics, output
from flunq.cli.ending import show_result
from flunq.cli.engine import (
    PriorityOption,
    TagsOption,
    WorkflowArgument,
    connected,
    read_input_option,
    read_tags,
)
from flunq.cli.exits import ExitCode
from flunq.cli.options import (
    InputOption,
    NewIdOption,
    TimeoutOption,
    TraceparentOption,
    trace_context,
)
from flunq.errors import UsageError


async def command(
    name: WorkflowArgument,
    input: InputOption = None,
    id: NewIdOption = None,
    tag: TagsOption = None,
    priority: PriorityOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait and print the output.")] = False,
    within: TimeoutOption = None,
    traceparent: TraceparentOption = None,
) -> int:
    """Start a registered workflow and print the id of the execution.

    $ flunq start order -i @order.json

    $ flunq start shop/order:1.2.0 --id order-123 --tag customer=ada --wait

    $ flunq start order -i @order.json --priority high

    Once the id is printed the start is durable. The same id, workflow and input again is the same
    execution; another start under a taken id is rejected (exit code 3).
    """
    if within is not None and not wait:
        raise UsageError("--timeout needs --wait")
    value, tags = read_input_option(input), read_tags(tag)
    async with connected() as client:
        run = await client.start(
            name,
            value,
            id=id,
            tags=tags,
            priority=priority,
            traceparent=trace_context(traceparent),
        )
        if wait:
            return await show_result(client, run.id, within)
    output.emit({"id": run.id, "status": run.status, "created": run.created}, plain=run.id)
    part = "is part of" if run.id != id else "was started before:"
    word = "started" if run.created else part
    if run.created and run.status == "suspended":
        diagnostics.say(f"accepted {run.id}; it waits, for its workflow is paused")
    else:
        diagnostics.say(f"{word} {run.id}; follow it with: flunq tail {run.id}")
    return ExitCode.DONE
