"""What the commands that talk to a cluster share: the connection, ids, inputs, completion."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import completion, text
from flunq.cli.options import read_value
from flunq.cli.session import OutputFormat, current, settings
from flunq.errors import NotFoundError, RejectedError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from flunq.client import Client
    from flunq.core.protocol import Details

_SHOWN = 5
_QUOTING = 'quote JSON for the shell: \'{"name": "Ada"}\', or use @file or -'


@asynccontextmanager
async def connected() -> AsyncIterator[Client]:
    """Connect to the cluster of this invocation."""
    from flunq.client import connect  # nats costs too much for --help

    keep_logs_away()
    async with connect(settings()) as client:
        yield client


def keep_logs_away() -> None:
    """Let nothing of the engine's log reach stderr unless ``--debug`` asks for it."""
    import logging

    if current().debug:
        from flunq.telemetry.logs import configure_logging

        configure_logging(level="debug", style="plain")
    else:
        # Without any handler Python writes warnings to stderr itself.
        logging.getLogger().addHandler(logging.NullHandler())


async def find_execution(client: Client, beginning: str) -> Details:
    """Return the execution with this id, or the only one whose id begins so.

    Raises NotFoundError, or UsageError when several do.
    """
    try:
        return await client.get(beginning)
    except NotFoundError:
        found = [each.id for each in await client.list(limit=_SHOWN + 1, prefix=beginning)]
        if not found:
            raise
    if len(found) > 1:
        raise _ambiguous(beginning, found)
    return await client.get(found[0])


def _ambiguous(beginning: str, found: Sequence[str]) -> UsageError:
    shown = ", ".join(found[:_SHOWN])
    more = ", ..." if len(found) > _SHOWN else ""
    return UsageError(f"several executions begin with {beginning}", hint=f"{shown}{more}")


def read_input_option(value: str | None) -> Any:
    """Return what ``-i`` says; nothing is the empty object."""
    if value is None:
        return {}
    from flunq.core.reading import InvalidDocument, read_input

    is_yaml = value.startswith("@") and value.endswith((".yaml", ".yml"))
    name = value[1:] if is_yaml else "input.json"
    try:
        return read_input(read_value(value), name=name)
    except InvalidDocument as invalid:
        problem = invalid.problems[0]
        raise RejectedError(
            f"the input is rejected: {problem.message} (line {problem.line}, "
            f"column {problem.column})",
            hint=None if value.startswith(("@", "-")) else _QUOTING,
        ) from None


def read_edited_input(value: str | None) -> Any:
    """Return what ``-i`` says in place of another input; UNSET if it is not given."""
    from msgspec import UNSET

    return UNSET if value is None else read_input_option(value)


def read_tags(given: Sequence[str] | None) -> dict[str, str]:
    """Read ``key=value`` pairs."""
    tags: dict[str, str] = {}
    for pair in given or ():
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise UsageError(f"{pair!r} is no tag", hint="write --tag key=value")
        tags[key] = value
    return tags


def for_people() -> bool:
    """Tell whether stdout shows tables and prose."""
    return current().output is OutputFormat.TABLE


def for_terminal() -> bool:
    """Tell whether a person looks at stdout."""
    return for_people() and text.is_terminal(sys.stdout)


def as_rows() -> bool:
    """Tell whether stdout shows flat rows: a table or CSV."""
    return current().output in (OutputFormat.TABLE, OutputFormat.CSV)


def _ids() -> list[str]:
    from flunq.cli import quick

    return quick.execution_ids()


def _workflow_names() -> list[str]:
    from flunq.cli import quick

    return quick.workflow_names()


execution_ids = completion.quietly(_ids)
"""Completes the id of an execution."""
workflow_names = completion.quietly(_workflow_names)
"""Completes the name of a workflow."""

ExecutionArgument = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="The execution, or the unique beginning of its id.",
        autocompletion=execution_ids,
    ),
]
SomeExecutionsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID...]", help="The executions.", autocompletion=execution_ids),
]
WorkflowArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME[:VERSION]",
        help="The workflow, with its namespace where that is needed.",
        autocompletion=workflow_names,
    ),
]
TagsOption = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="KEY=VALUE", help="Label the execution; repeatable."),
]
PriorityOption = Annotated[
    str | None,
    typer.Option("--priority", metavar="high|normal|low|N", help="Of its tasks, 0 to 9."),
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Recorded in the history.")
]
