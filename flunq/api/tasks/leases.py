"""The right to work on a task: who handed it out, for which execution, and a random word."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import msgspec

from flunq.api.cursors import decode_cursor, encode_cursor

if TYPE_CHECKING:
    from flunq.core.execution.effects import Dispatch
    from flunq.log.ports import Delivery

_WHERE = "$.lease"


class Lease(msgspec.Struct, frozen=True, array_like=True):
    """What a worker shows with everything that it says about a task."""

    holder: str
    """The process that keeps the task in hand."""
    execution: str
    word: str

    @classmethod
    def new(cls, holder: str, execution: str) -> Lease:
        """Return a lease that nobody can guess."""
        return cls(holder, execution, secrets.token_hex(12))

    def encode(self) -> str:
        """Return it as one word."""
        return encode_cursor(self)

    @classmethod
    def decode(cls, text: str) -> Lease:
        """Read it; raises InvalidFieldError."""
        lease: Lease = decode_cursor(text, cls, where=_WHERE)
        return lease


class Held:
    """A task that a worker works on."""

    __slots__ = ("delivery", "dispatch", "lease", "seconds", "until")

    def __init__(
        self, dispatch: Dispatch, delivery: Delivery, lease: Lease, seconds: float
    ) -> None:
        self.dispatch = dispatch
        self.delivery = delivery
        self.lease = lease
        self.seconds = seconds
        self.until = 0.0
        self.renew()

    def renew(self) -> None:
        """Let it last as long again from now on."""
        self.until = asyncio.get_running_loop().time() + self.seconds
