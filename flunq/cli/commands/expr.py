"""``flunq expr``: try an expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import output
from flunq.cli.options import InputOption, read_json
from flunq.cli.tables import Column
from flunq.errors import NotFoundError, RejectedError, UsageError

if TYPE_CHECKING:
    from flunq.client import Client
    from flunq.core.expressions import Expression
    from flunq.core.protocol import Details

_COLUMNS = (Column("function", whole=True), Column("tier"), Column("description", whole=True))

Text = Annotated[
    str | None,
    typer.Argument(metavar="EXPRESSION", help="A jq expression, bare or between ${ and }."),
]
Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--var",
        metavar="NAME=JSON",
        help="A variable, such as context='{}'; repeatable.",
        rich_help_panel="Input",
    ),
]
ExecutionOption = Annotated[
    str | None,
    typer.Option(
        "--execution",
        metavar="ID",
        help="Try it on what this execution has.",
        rich_help_panel="Input",
    ),
]
ListOption = Annotated[bool, typer.Option("--list", help="List the functions.")]


async def command(
    expression: Text = None,
    input: InputOption = None,
    var: Variables = None,
    execution: ExecutionOption = None,
    functions: ListOption = False,
) -> None:
    """Try an expression on some JSON or on an execution.

    $ flunq expr '.items | map(.price) | add' -i @order.json

    $ flunq expr '$context.user.name' --var context='{"user": {"name": "Ada"}}'

    $ flunq expr '{total, by: $workflow.input.user}' --execution order-123

    $ flunq expr --list

    It is evaluated as a workflow would: the same functions, limits and refusals. With --execution
    the input of the expression is the output of that execution, or its input while it has none;
    $input, $output, $context and $workflow are there too.
    """
    if functions:
        from flunq.cli.commands.expr_functions import functions as all_functions

        output.emit(all_functions(), columns=_COLUMNS)
        return
    if expression is None:
        raise UsageError("an expression is missing", hint="flunq expr '.a' -i '{\"a\": 1}'")
    program = _compile(expression)
    value: Any = None
    variables: dict[str, Any] = {}
    if execution is not None:
        value, variables = await _of_execution(execution, program)
    if input is not None:
        value = read_json(input)
    variables |= dict(_variable(text) for text in var or ())
    result = await _result(program, value, _with_secrets(program, variables))
    output.emit(result, plain=output.json_text(result))


def _compile(expression: str) -> Expression:
    from flunq.core.expressions import ExpressionSyntaxError, compile_runtime

    try:
        return compile_runtime(expression)
    except ExpressionSyntaxError as error:
        from flunq.cli.commands.expr_excerpt import excerpt, position

        raise RejectedError(
            "\n".join([error.message, *excerpt(expression, error.offset)]),
            hint="flunq help expressions",
            where=position(expression, error.offset),
        ) from None


async def _result(program: Expression, value: Any, variables: dict[str, Any]) -> Any:
    from flunq.core.expressions import ExpressionError

    try:
        return await _evaluate(program, value, variables)
    except ExpressionError as error:
        raise RejectedError(error.message) from None


async def _evaluate(program: Expression, value: Any, variables: dict[str, Any]) -> Any:
    """Evaluate in this process where that is possible, else in a child with limits."""
    from flunq.core.expressions import NeedsEvaluation

    try:
        return program.evaluate(value, variables)
    except NeedsEvaluation as request:
        from flunq.engines.jq_process import JqPool

        async with JqPool(size=1) as pool:
            answer = await pool.evaluate(request.need)
        return program.evaluate(value, variables, {request.need.key: answer})


async def _of_execution(beginning: str, program: Expression) -> tuple[Any, dict[str, Any]]:
    """Return what an expression is evaluated on at the end of an execution, and its variables."""
    from flunq.cli.engine import connected, find_execution

    async with connected() as client:
        details = await find_execution(client, beginning)
        variables: dict[str, Any] = {"input": details.input, "output": details.output}
        if "context" in program.variables:
            variables["context"] = await _context(client, details)
        if "workflow" in program.variables:
            variables["workflow"] = await _workflow(client, details)
    return details.output if details.status == "completed" else details.input, variables


async def _context(client: Client, details: Details) -> Any:
    """Return ``$context``, of a finished execution what was exported last."""
    context = details.context
    if details.ended_at is None:
        return context
    async for event in client.history(details.id):
        if b'"context"' in bytes(event.data):
            context = event.value().get("context", context)
    return context


async def _workflow(client: Client, details: Details) -> dict[str, Any]:
    """Return ``$workflow``; the definition is null if it was deleted meanwhile."""
    from flunq.core.execution.variables import moment

    try:
        name = f"{details.namespace}/{details.workflow}:{details.version}"
        definition = (await client.workflow(name)).document
    except NotFoundError:
        definition = None
    return {
        "id": details.id,
        "definition": definition,
        "input": details.input,
        "startedAt": moment(details.started_at),
        "tags": details.tags,
    }


def _variable(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise UsageError(f"{text!r} is no variable", hint="write --var NAME=JSON")
    return name.lstrip("$"), read_json(value, name=f"variable {name}")


def _with_secrets(program: Expression, variables: dict[str, Any]) -> dict[str, Any]:
    """Return the variables with each secret under the name by which the program knows it."""
    if "secrets" not in variables:
        return variables
    from flunq.core.markers import VARIABLE, unfold

    secrets = {name for name in program.variables if name.startswith(VARIABLE)}
    found = {name: _member(variables["secrets"], unfold({name: None})) for name in secrets}
    return variables | found


def _member(value: Any, path: Any) -> Any:
    """Return what is at the only leaf of a path."""
    while isinstance(path, dict):
        (name, path), *_ = path.items()
        value = value.get(name) if isinstance(value, dict) else None
    return value
