"""Bounds on what one evaluation may do before the expression engine takes over.

A program that loops carries a counter in its environment. Loops spend one unit an item,
deep operations one unit a node, so that a short text cannot keep the process busy.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, TypeAlias

from flunq.core.expressions.errors import BeyondTier0

Env: TypeAlias = MutableMapping[str, Any]

FUEL = "%fuel"
"""Where the counter is kept in an environment; no variable can have this name."""
BUDGET = 100_000
MAX_STRING = 1_000_000
MAX_ITEMS = 100_000
_MAX_DEPTH = 200
_LONG = 4096


def spend(env: Env, amount: int) -> None:
    """Take units from the counter; raise BeyondTier0 when none are left."""
    counter = env[FUEL]
    counter[0] -= amount
    if counter[0] < 0:
        raise BeyondTier0("too much work")


def weigh(value: Any, env: Env) -> None:
    """Spend one unit for each node of a value and refuse one that is nested too deeply."""
    cls = type(value)
    if cls is list or cls is dict:
        _walk(value, env[FUEL], 0)
    elif cls is str and len(value) > _LONG:
        spend(env, len(value) >> 8)


def _walk(value: Any, counter: list[int], depth: int) -> None:
    counter[0] -= len(value)
    if counter[0] < 0 or depth > _MAX_DEPTH:
        raise BeyondTier0("too large")
    for item in value if type(value) is list else value.values():
        cls = type(item)
        if cls is list or cls is dict:
            _walk(item, counter, depth + 1)
        elif cls is str and len(item) > _LONG:
            counter[0] -= len(item) >> 8


def weigh_width(value: Any, env: Env) -> None:
    """Spend for an operation that looks at the members of a value but not into them."""
    cls = type(value)
    if cls is list or cls is dict:
        spend(env, len(value) >> 2)
    elif cls is str:
        spend(env, len(value) >> 6)


def bounded_text(text: str) -> str:
    """Return a built string, or refuse it when it has grown too long."""
    if len(text) > MAX_STRING:
        raise BeyondTier0("long string")
    return text
