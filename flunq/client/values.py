"""Large values: sent and fetched in pieces, so that no message outgrows the server's limit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.claims import is_reference, reference_key, reference_to
from flunq.core.json import LEVELS_AROUND
from flunq.core.protocol import GetBlob, Piece, PutBlob
from flunq.errors import RejectedError, UnavailableError

if TYPE_CHECKING:
    from flunq.core.events import LazyEvent

LARGE = 256 * 1024
PIECE = 512 * 1024
MAX_ROUNDS = 5
"""How often a value may be sent anew because its receiver died."""
SHALLOW = 512
"""Fewer bytes than this cannot be nested too deeply: a level takes two."""

Ask = Callable[[Any], Awaitable[bytes]]


class _Taken(msgspec.Struct, frozen=True):
    next: int


def encode_value(value: Any) -> bytes:
    """Encode what will be stored; raises RejectedError if nobody could read it there."""
    try:
        body = msgspec.json.encode(value)
        if len(body) >= SHALLOW:
            shell = value
            for _ in range(LEVELS_AROUND):
                shell = [shell]
            msgspec.json.encode(shell)
    except RecursionError:
        raise RejectedError("a value is nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise RejectedError(f"a value has no JSON form: {error}", hint=_hint(value)) from None
    return body


def _hint(value: Any) -> str | None:
    return "hand over model.model_dump(mode='json')" if hasattr(value, "model_dump") else None


class Values:
    """Moves large values through the catalog."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def slim(self, value: Any) -> Any:
        """Return the value, or a reference to it if it is large."""
        if isinstance(value, (int, float, bool, type(None))):
            return value
        body = encode_value(value)
        if len(body) <= LARGE and not is_reference(value):
            return value
        key, reference = reference_to(body)
        await self.put(key, body)
        return reference

    async def put(self, key: str, body: bytes) -> None:
        """Send a value in pieces; whoever takes them says which one it lacks."""
        count = max(1, -(-len(body) // PIECE))
        number = 0
        for _ in range(count * MAX_ROUNDS):
            piece = body[number * PIECE : (number + 1) * PIECE]
            last = number == count - 1
            answer = await self._ask(PutBlob(key=key, piece=piece, number=number, last=last))
            number = msgspec.json.decode(answer, type=_Taken).next
            if number == count:
                return
        raise UnavailableError("a large value could not be sent", hint="flunq status")

    async def full(self, value: Any) -> Any:
        """Return the value that a reference stands for; other values as they are."""
        if not is_reference(value):
            return value
        key = reference_key(value)
        parts: list[bytes] = []
        offset = 0
        while True:
            body = await self._ask(GetBlob(key=key, offset=offset))
            piece = msgspec.json.decode(body, type=Piece)
            parts.append(piece.data)
            offset += len(piece.data)
            if offset >= piece.size:
                return msgspec.json.decode(b"".join(parts))

    async def full_event(self, event: LazyEvent) -> LazyEvent:
        """Return an event with its large values."""
        if b'"$flunq.blob"' not in bytes(event.data):
            return event
        data = event.value()
        for members in (data, data.get("dispatch"), data.get("command")):
            if isinstance(members, dict):
                for member, value in members.items():
                    members[member] = await self.full(value)
        return msgspec.structs.replace(event, data=msgspec.Raw(msgspec.json.encode(data)))
