"""The outside world of a simulation: an executor whose every call is written into a ledger."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.sdk.executor import JSON, Call, Executor, TaskError
from flunq.testing.clock import PROCESS
from flunq.testing.documents import stepped

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.sdk.context import TaskContext

KINDS = ("function:step", "function:bulky", "function:flaky", "function:slow")


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One call that reached the outside world."""

    execution: str
    task: str
    key: str
    attempt: int
    reference: str
    process: str
    at: int
    """Microseconds since the epoch."""
    records: int
    """How many records the journals held when the call began."""


class Ledger:
    """All calls of a run."""

    def __init__(self, seed: int, now: Callable[[], int], records: Callable[[], int]) -> None:
        self.effects: list[Effect] = []
        self.seed = seed
        self._now = now
        self._records = records

    def enter(self, call: Call, process: str) -> None:
        """Write a call down as it begins."""
        self.effects.append(
            Effect(
                execution=call.execution,
                task=call.task,
                key=call.key,
                attempt=call.attempt,
                reference=call.reference,
                process=process,
                at=self._now(),
                records=self._records(),
            )
        )

    def duration(self, call: Call) -> float:
        """Return how long a call takes: mostly a moment, sometimes long enough for a crash."""
        random = Random(f"{self.seed} {call.task} {len(self.effects)}")  # noqa: S311 - not a secret
        if call.kind == "function:slow":
            return random.choice([0.01, 1.0, 1.99, 2.0, 2.01, 6.0])
        return random.choice([0.0, 0.001, 0.002, 0.01, 0.03, 0.2, 3.0])


class LedgerExecutor(Executor):
    """Runs the functions that generated documents call."""

    kinds = KINDS

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def execute(self, call: Call, context: TaskContext) -> JSON:
        """Write the call down, take a while, answer."""
        process = PROCESS.get()
        if process is None or not process.alive:
            raise asyncio.CancelledError
        self._ledger.enter(call, process.name)
        await asyncio.sleep(self._ledger.duration(call))
        arguments: dict[str, Any] = call.arguments
        n = arguments["n"]
        if call.kind == "function:flaky" and call.attempt <= arguments["fails"]:
            raise TaskError("communication", 503, title="Not now")
        if call.kind == "function:bulky":
            return {"n": n + 1, "pad": "y" * 2000}
        return {"n": stepped(n)}
