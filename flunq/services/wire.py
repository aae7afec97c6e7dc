"""How tasks and commands look as bytes: JSON, or a pointer to it when it is too large."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from flunq.core.execution.commands import Command
from flunq.core.execution.effects import Dispatch, Withdraw

if TYPE_CHECKING:
    from collections.abc import Sequence

_encoder = msgspec.json.Encoder()
_dispatches = msgspec.json.Decoder(Dispatch)
_withdrawals = msgspec.json.Decoder(list[Withdraw])
_commands = msgspec.json.Decoder(list[Command])


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Stands for a message that was too large: its body is the blob ``claim``."""

    claim: str


_claims = msgspec.json.Decoder(Claim)
_CLAIM_START = b'{"claim":'


def encode_dispatch(dispatch: Dispatch) -> bytes:
    """Return a task as the queue carries it."""
    return _encoder.encode(dispatch)


def decode_dispatch(data: bytes) -> Dispatch:
    """Read a task; raises msgspec.DecodeError."""
    return _dispatches.decode(data)


def encode_commands(commands: Sequence[Command]) -> bytes:
    """Return commands as a request or the inbox carries them."""
    return _encoder.encode(commands)


def decode_commands(data: bytes) -> list[Command]:
    """Read commands; raises msgspec.DecodeError."""
    return _commands.decode(data)


def encode_withdrawals(withdrawals: Sequence[Withdraw]) -> bytes:
    """Return the notice that tasks no longer matter."""
    return _encoder.encode(withdrawals)


def decode_withdrawals(data: bytes) -> list[Withdraw]:
    """Read such a notice; raises msgspec.DecodeError."""
    return _withdrawals.decode(data)


def encode_claim(key: str) -> bytes:
    """Return the message that stands for the blob ``key``."""
    return _encoder.encode(Claim(claim=key))


def claim_in(data: bytes) -> str | None:
    """Return the key of the blob that holds the message, or None if this is the message."""
    if not data.startswith(_CLAIM_START):
        return None
    try:
        return _claims.decode(data).claim
    except msgspec.DecodeError:
        return None
