"""What can go wrong with an expression.

ExpressionSyntaxError   the text is not an expression; found when it is compiled
ExpressionError         the evaluation failed; becomes a DSL ``expression`` error
NeedsEvaluation         not a failure: the answer of the expression engine is needed
BeyondTier0             not a failure: this value or size is left to the expression engine
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flunq.core.expressions.engine import Need


class ExpressionSyntaxError(ValueError):
    """The text is not a valid expression; ``offset`` points into it."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class ExpressionError(Exception):
    """An evaluation failed; ``value`` is what jq's ``catch`` would see."""

    def __init__(self, message: str, value: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.value = message if value is None else value


class NeedsEvaluation(Exception):  # noqa: N818 - a request, not an error
    """The evaluation needs an answer that the caller has not brought yet."""

    def __init__(self, need: Need) -> None:
        super().__init__(need.key)
        self.need = need


class BeyondTier0(Exception):  # noqa: N818 - a hand-over, not an error
    """The pure-Python tier refuses this value or size; the engine takes over."""
