"""How much a scenario does, and against what."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec


class Sizes(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """The work of one run; None leaves it to the scenario."""

    executions: int | None = None
    steps: int | None = None
    in_flight: int | None = None
    milliseconds: int | None = None
    """How long a wait is, or the pause in which memory settles."""

    def or_else(self, other: Sizes) -> Sizes:
        """Fill in what is left open; members that ``other`` does not have stay None."""
        chosen = {
            name: getattr(other, name) if getattr(self, name) is None else getattr(self, name)
            for name in self.__struct_fields__
            if getattr(other, name) is not None
        }
        return Sizes(**chosen)


class BenchOptions(msgspec.Struct, kw_only=True, frozen=True):
    """What ``flunq bench`` was asked for."""

    durability: Literal["strict", "fast"] = "strict"
    sizes: Sizes = Sizes()
    limit_sizes: Sizes = Sizes()
    """How long the limits of the machine are measured."""
    repeat: int = 1
    workers: int = 1
    partitions: int | None = None
    command: str = ""
    """What was typed, for the report."""
    folder: Path | None = None
    """Where the temporary data folder is made: the disk that is measured."""
