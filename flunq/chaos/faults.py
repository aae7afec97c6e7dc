"""Which faults there are, and the seeded row of them that one run injects."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import msgspec

from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

Action: TypeAlias = Literal["kill", "pause", "slow", "blackhole", "fill", "lose", "stall"]

ANY = "any"
LEADER = "leader"
FOLLOWER = "follower"
TWO = "two"

PROCESSES = ("kill-node", "pause-node", "kill-control", "pause-control", "kill-nats", "pause-nats")
BLACKHOLE = "blackhole-node"
STREAMS = ("slow-nats", "fill-nats", "lose-consumers", "stall-consumers")
SINGLE = (*PROCESSES, *STREAMS, BLACKHOLE)
CLUSTERED = ("kill-nats-leader", "kill-nats-follower", "kill-nats-two", "pause-nats-leader")
"""Faults that need several nats-servers."""
ALL = (*SINGLE, "kill-all", *CLUSTERED)
_SHORTEST, _LONGEST = 0.5, 4.0


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault as it was drawn; whom it hits is settled when it is injected."""

    kind: str
    action: Action
    part: str
    """``node``, ``control``, ``nats``, ``consumers`` or ``all``."""
    which: str
    """Which one of several: any, the leader, a follower, two of them."""
    draw: float
    """Between 0 and 1: chooses among several."""
    seconds: float
    """How long it lasts; 0 for what is over at once."""


def usable(names: Sequence[str], nodes: int) -> tuple[str, ...]:
    """Return the kinds of fault to inject; raises UsageError for one that cannot be."""
    for name in names:
        if name not in ALL:
            raise UsageError(f"there is no fault {name}", hint=f"one of: {', '.join(ALL)}")
        if nodes == 1 and name in CLUSTERED:
            raise UsageError(f"{name} needs several nats-servers", hint="add --nodes 3")
        if nodes > 1 and name == BLACKHOLE:
            raise UsageError(f"{name} is for one nats-server", hint="leave --nodes out")
    if names:
        return tuple(names)
    return (*PROCESSES, *STREAMS, *CLUSTERED) if nodes > 1 else SINGLE


def draw_faults(seed: int, names: Sequence[str], count: int) -> list[Fault]:
    """Return a row of faults that depends on the seed alone; each kind comes before one repeats."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    row = [
        name for _ in range(count // len(names) + 1) for name in chance.sample(names, len(names))
    ]
    return [_fault(name, chance) for name in row[:count]]


def _fault(name: str, chance: random.Random) -> Fault:
    action, part, *which = name.split("-")
    lasts = action not in ("kill", "lose")
    return Fault(
        kind=name,
        action=cast("Action", action),
        part=part,
        which=which[0] if which else ANY,
        draw=chance.random(),
        seconds=round(chance.uniform(_SHORTEST, _LONGEST), 2) if lasts else 0.0,
    )
