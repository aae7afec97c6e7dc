"""What a run is asked to do, and what it found."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

BUILT_IN = """\
document: {dsl: 1.0.3, namespace: flunq, name: chaos, version: 1.0.0}
do:
  - first: {call: chaos-add, with: {n: '${ .n }', milliseconds: 20}}
  - pause: {wait: {milliseconds: 400}}
  - both:
      fork:
        branches:
          - left: {call: chaos-add, with: {n: '${ .n }', milliseconds: 50}}
          - right: {call: chaos-add, with: {n: '${ .n }', milliseconds: 10}}
      output: {as: '${ {n: (.[0].n + .[1].n)} }'}
  - again:
      for: {each: item, in: '${ [1, 2] }'}
      do:
        - more: {call: chaos-add, with: {n: '${ .n }', milliseconds: 5}}
  - last: {set: {n: '${ .n }'}}
"""
"""Calls, a timer, branches, a loop: a bit of everything that a failure can hit."""


def built_in_output(n: int) -> dict[str, int]:
    """Return what the built-in workflow makes of an input."""
    return {"n": (n + 2) * 2 + 2}


class ChaosOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of ``flunq chaos``."""

    seed: int
    scenario: str = "faults"
    count: int = 0
    """How many timers, events or starts such a scenario has at once."""
    faults: tuple[str, ...] = ()
    """Kinds of fault; empty: all that this cluster can have."""
    rounds: int = 8
    """How many faults."""
    executions: int = 200
    in_flight: int = 25
    nodes: int = 1
    workers: int = 2
    durability: Literal["strict", "fast"] = "strict"
    functions: tuple[str, ...] = ()
    workflow: str | None = None
    """The text of the user's workflow; None: the built-in one."""
    input: Any = None
    patience: float = 60.0
    """Seconds within which everything must have ended after the last start."""
    folder: Path | None = None


class FaultReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one fault cost."""

    number: int
    kind: str
    target: str
    lasted: float
    """Seconds for which somebody was paused; 0 for a kill."""
    next_start: float | None
    """Seconds from the fault to the next accepted start; None: there was none in time."""
    recovered: float | None
    """Seconds from the fault until each partition had accepted a start."""


class ChaosReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found; ``broken`` is empty when every promise held."""

    seed: int
    scenario: str
    nodes: int
    workers: int
    durability: str
    seconds: float
    acknowledged: int
    statuses: dict[str, int]
    events: int
    commits: int
    counts: dict[str, int]
    """How often each promise was broken."""
    faults: list[FaultReport]
    figures: dict[str, float]
    """What the scenario measured."""
    broken: list[str]
    repeat: str
    """The command that does the same again."""
