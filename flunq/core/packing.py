"""The stored form of structs: MessagePack, or JSON where they hold integers beyond 64 bits."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
_JSON_OPENING = b"{"


class Packing(Generic[T]):
    """Writes and reads the structs of one type."""

    def __init__(self, kind: type[T]) -> None:
        self._pack = msgspec.msgpack.Encoder().encode
        self._unpack = msgspec.msgpack.Decoder(kind).decode
        self._write = msgspec.json.Encoder().encode
        self._read = msgspec.json.Decoder(kind).decode

    def encode(self, value: T) -> bytes:
        """Return the stored form."""
        try:
            return self._pack(value)
        except OverflowError:
            return self._write(value)

    def decode(self, body: bytes) -> T:
        """Read what :meth:`encode` wrote."""
        return self._read(body) if body[:1] == _JSON_OPENING else self._unpack(body)
