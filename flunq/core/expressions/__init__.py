"""Runtime expressions: jq in two tiers, pure Python for the everyday subset."""

from __future__ import annotations

from flunq.core.expressions.engine import EMPTY, Answer, Answers, ExpressionEngine, Need
from flunq.core.expressions.errors import (
    ExpressionError,
    ExpressionSyntaxError,
    NeedsEvaluation,
)
from flunq.core.expressions.program import Expression, compile_expression, compile_runtime
from flunq.core.expressions.syntax import check
from flunq.core.expressions.template import Template, compile_template
from flunq.core.json import JSON

__all__ = [
    "EMPTY",
    "JSON",
    "Answer",
    "Answers",
    "Expression",
    "ExpressionEngine",
    "ExpressionError",
    "ExpressionSyntaxError",
    "Need",
    "NeedsEvaluation",
    "Template",
    "check",
    "compile_expression",
    "compile_runtime",
    "compile_template",
]
