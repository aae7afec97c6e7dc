"""The right to work on a task: who handed it out, for which execution, and a random word."""

from __future__ import annotations

import asyncio
import hmac
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
    """Nobody can guess it; it says to whoever has the cluster's key that the rest is true."""

    def encode(self) -> str:
        """Return it as one word."""
        return encode_cursor(self)

    @classmethod
    def decode(cls, text: str) -> Lease:
        """Read it; raises InvalidFieldError."""
        lease: Lease = decode_cursor(text, cls, where=_WHERE)
        return lease


class Leases:
    """Makes the leases of one process, and knows those of others that are gone."""

    def __init__(self, holder: str, proof: str) -> None:
        """Without a proof, which the processes of a cluster share, nobody knows them but this."""
        self._holder = holder
        self._key = (proof or secrets.token_hex()).encode()

    def new(self, execution: str, task: str) -> Lease:
        """Return a lease for a task."""
        chance = secrets.token_hex(12)
        return Lease(self._holder, execution, self._word(self._holder, execution, task, chance))

    def knows(self, lease: Lease, task: str) -> bool:
        """Tell whether a lease was made for that task."""
        word = self._word(lease.holder, lease.execution, task, lease.word.partition(".")[0])
        return hmac.compare_digest(word.encode(), lease.word.encode())

    def _word(self, *said: str) -> str:
        body = msgspec.json.encode(("task lease", *said))
        return f"{said[-1]}.{hmac.digest(self._key, body, 'sha256').hex()[:32]}"


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
