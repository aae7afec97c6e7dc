"""Evaluates needs in this process: for simulation and tests, never for untrusted programs."""

from __future__ import annotations

import msgspec

from flunq.core.expressions import Answer, Need
from flunq.engines.jq_worker import evaluate, failure


def evaluate_inline(need: Need) -> Answer:
    """Answer a need at once, without any limit."""
    data = msgspec.json.encode([need.input, *need.variables.values()]).decode()
    try:
        return Answer(value=evaluate(need.program, tuple(need.variables), data))
    except ValueError as error:
        return Answer(error=failure(error))


class InlineEngine:
    """The expression engine of simulations."""

    async def evaluate(self, need: Need) -> Answer:
        """Answer a need at once."""
        return evaluate_inline(need)
