"""Wait for an execution and print how it ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flunq.cli import diagnostics, output
from flunq.cli.engine import for_people
from flunq.cli.exits import ExitCode
from flunq.cli.session import OutputFormat, current
from flunq.cli.watching import watched
from flunq.errors import ExecutionFailedError

if TYPE_CHECKING:
    from flunq.client import Client
    from flunq.core.protocol import Details


SILENCE_SECONDS = 30.0
"""How long nobody may answer whoever waits; a cluster is started again within that."""


async def show_result(
    client: Client, execution: str, within: float | None, details: Details | None = None
) -> int:
    """Print the output, or the error; returns the exit code.

    Raises WaitTimeoutError, and ExecutionFailedError unless stdout says it all.
    """
    from flunq.cli.rendering.executions import ending_text, result_json, workflow_json

    try:
        async with watched(client, execution):
            result = await client.result(execution, timeout=within, patience=SILENCE_SECONDS)
    except asyncio.CancelledError:
        diagnostics.say(f"execution {execution} goes on; follow it with: flunq tail {execution}")
        raise
    if for_people():
        if result.status == "completed":
            output.emit_text(output.json_text(result.output))
    else:
        known = details or await client.get(execution)
        workflow = workflow_json(known.namespace, known.workflow, known.version)
        output.emit(result_json(result, workflow))
    if result.status == "completed":
        return ExitCode.DONE
    if current().output is OutputFormat.JSONL:
        return ExitCode.FAILED
    raise ExecutionFailedError(
        ending_text(result),
        hint=f"see what happened: flunq history {execution}",
        outcome=result.status,
    )
