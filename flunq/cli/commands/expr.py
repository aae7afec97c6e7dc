"""``flunq expr``: try an expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import output
from flunq.cli.options import InputOption, read_json
from flunq.errors import RejectedError, UsageError

if TYPE_CHECKING:
    from flunq.core.expressions import Expression

Text = Annotated[
    str, typer.Argument(metavar="EXPRESSION", help="A jq expression, bare or between ${ and }.")
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


async def command(expression: Text, input: InputOption = None, var: Variables = None) -> None:
    """Try an expression on some JSON.

    $ flunq expr '.items | map(.price) | add' -i @order.json

    $ flunq expr '$context.user.name' --var context='{"user": {"name": "Ada"}}'

    It is evaluated as a workflow would: the same functions, limits and refusals.
    """
    from flunq.core.expressions import ExpressionError, ExpressionSyntaxError, compile_runtime

    variables = dict(_variable(text) for text in var or ())
    try:
        program = compile_runtime(expression)
        value = await _evaluate(program, read_json(input), variables)
    except ExpressionSyntaxError as error:
        where = f"column {error.offset + 1}"
        raise RejectedError(error.message, hint="flunq help expressions", where=where) from None
    except ExpressionError as error:
        raise RejectedError(error.message) from None
    output.emit(value, plain=output.json_text(value))


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


def _variable(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise UsageError(f"{text!r} is no variable", hint="write --var NAME=JSON")
    return name.lstrip("$"), read_json(value, name=f"variable {name}")
