"""The contract between the pure core and an expression engine."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol, TypeAlias

import msgspec

from flunq.core.json import JSON


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation that the pure tier cannot do itself."""

    key: str
    """Digest of the program, its input and the variables it reads."""
    program: str
    input: JSON
    """``null`` when the program never reads its input."""
    variables: dict[str, JSON]
    """Only the variables that the program reads, without the dollar."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the engine found: a value, or the message of a failure."""

    value: JSON = None
    error: str | None = None


Answers: TypeAlias = Mapping[str, Answer]
"""Answers by the key of their need."""

EMPTY: Answers = MappingProxyType({})


class ExpressionEngine(Protocol):
    """Evaluates programs that the pure tier refuses."""

    async def evaluate(self, need: Need) -> Answer:
        """Answer a need; a bad program, an overrun or a crash is an answer with an error."""
        ...
