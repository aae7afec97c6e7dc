"""Runtime expressions for executors: those of a task that ask about what comes in while it runs.

``program = compile_expression(text)``, then ``await evaluate(program, value, variables, context)``
for each value. Everyday programs are evaluated here, within bounds; the others go to the
expression engine of the process, which runs them in a child with limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.core.expressions import ExpressionError, ExpressionSyntaxError, NeedsEvaluation
from flunq.core.expressions import compile_runtime as _compile
from flunq.sdk.executor import JSON, TaskError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flunq.core.expressions import Expression
    from flunq.sdk.context import TaskContext

__all__ = ["compile_expression", "evaluate", "holds"]


def compile_expression(text: str) -> Expression:
    """Compile an expression, written bare or in ``${ }``; raises an ``expression`` TaskError."""
    try:
        return _compile(text)
    except ExpressionSyntaxError as error:
        raise _failed(text, str(error)) from error


async def evaluate(
    expression: Expression, value: JSON, variables: Mapping[str, JSON], context: TaskContext
) -> JSON:
    """Return the first result for ``value`` as ``.``; raises an ``expression`` TaskError."""
    try:
        return expression.evaluate(value, variables)
    except NeedsEvaluation as needed:
        engine = context.shared.engine
        if engine is None:
            raise _failed(expression.text, "this process has no expression engine") from None
        answer = await engine.evaluate(needed.need)
    except ExpressionError as error:
        raise _failed(expression.text, str(error)) from error
    if answer.error is not None:
        raise _failed(expression.text, answer.error)
    return answer.value


async def holds(
    expression: Expression, value: JSON, variables: Mapping[str, JSON], context: TaskContext
) -> bool:
    """Tell whether a condition is true: anything but ``false`` and ``null``."""
    found = await evaluate(expression, value, variables, context)
    return found is not None and found is not False


def _failed(text: str, problem: str) -> TaskError:
    return TaskError("expression", 400, detail=f"{problem} in {text[:200]!r}")
