"""How tasks and commands look as bytes: JSON, or a pointer to it when it is too large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from flunq.core.execution.commands import Command
from flunq.core.execution.effects import Dispatch, Withdraw
from flunq.core.json import LEVELS_AROUND

if TYPE_CHECKING:
    from collections.abc import Sequence

_encoder = msgspec.json.Encoder()
_dispatches = msgspec.json.Decoder(Dispatch)
_withdrawals = msgspec.json.Decoder(list[Withdraw])
_commands = msgspec.json.Decoder(list[Command])
_events = msgspec.json.Decoder(dict[str, Any])
_any = msgspec.json.Decoder()
_T_co = TypeVar("_T_co", covariant=True)

MANY = 256
"""Brackets without which no value is nested too deeply."""


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
    return _read(_dispatches, data)


def encode_commands(commands: Sequence[Command]) -> bytes:
    """Return commands as a request or the inbox carries them."""
    return _encoder.encode(commands)


def decode_commands(data: bytes) -> list[Command]:
    """Read commands; raises msgspec.DecodeError."""
    return _read_foreign(_commands, data)


def decode_event(data: bytes) -> dict[str, Any]:
    """Read an event of the bus; raises msgspec.DecodeError."""
    return _read_foreign(_events, data)


def encode_withdrawals(withdrawals: Sequence[Withdraw]) -> bytes:
    """Return the notice that tasks no longer matter."""
    return _encoder.encode(withdrawals)


def decode_withdrawals(data: bytes) -> list[Withdraw]:
    """Read such a notice; raises msgspec.DecodeError."""
    return _read(_withdrawals, data)


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


class _Decoder(Protocol[_T_co]):
    def decode(self, data: bytes, /) -> _T_co: ...


def _read_foreign(decoder: _Decoder[_T_co], data: bytes) -> _T_co:
    """Decode what others wrote, unless nobody could store it with what is put around it."""
    if data.count(b"[") + data.count(b"{") > MANY:
        _read(_any, b"[" * LEVELS_AROUND + data + b"]" * LEVELS_AROUND)
    return _read(decoder, data)


def _read(decoder: _Decoder[_T_co], data: bytes) -> _T_co:
    try:
        return decoder.decode(data)
    except RecursionError:
        raise msgspec.DecodeError("it is nested too deeply") from None
