"""Bodies of HTTP messages: reading with limits, and what they mean by their content type."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from flunq.sdk.executor import JSON, TaskError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Mapping

_TEXT_TYPES = frozenset(
    {
        "application/javascript",
        "application/x-www-form-urlencoded",
        "application/xml",
        "application/yaml",
    }
)
_FORM = "application/x-www-form-urlencoded"
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


def encode_body(body: Any, content_type: str | None) -> tuple[bytes, str | None]:
    """Return a request's body and its content type: text as it is, a form, or else JSON."""
    if body is None:
        return b"", content_type
    if isinstance(body, str):
        return body.encode(), content_type or "text/plain; charset=utf-8"
    if isinstance(body, dict) and content_type and _media_type(content_type) == _FORM:
        return urlencode(body, doseq=True).encode(), content_type
    return msgspec.json.encode(body), content_type or "application/json"


def decode_body(body: bytes, content_type: str | None) -> JSON:
    """Return the value of a body: JSON, text, or base64 of anything else."""
    if not body:
        return None
    media = _media_type(content_type or "")
    if media in ("application/json", "") or media.endswith("+json"):
        try:
            value: JSON = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return _text_or_base64(body, _charset(content_type))
        return value
    if media.startswith("text/") or media in _TEXT_TYPES or media.endswith("+xml"):
        return _text_or_base64(body, _charset(content_type))
    return base64.b64encode(body).decode()


async def read_body(chunks: AsyncIterable[bytes], headers: Mapping[str, str], limit: int) -> bytes:
    """Read a body, decompressed, and stop as soon as it is over the limit."""
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    decoders = _decoders(headers.get("content-encoding", ""), limit)
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        data = chunk
        for decoder in decoders:
            data = decoder.feed(data)
        size += len(data)
        if size > limit:
            raise _too_large(limit)
        parts.append(data)
    return b"".join(parts)


class _Inflate:
    """Decompresses gzip or deflate, never holding more than the limit and a little."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inner: Any = None
        self._raw = False

    def feed(self, data: bytes) -> bytes:
        """Return the next bytes; a member that expands over the limit is an error."""
        if self._inner is None:
            # Some servers send deflate without its zlib header.
            self._raw = data[:1] not in (b"\x1f", b"\x78")
            self._inner = zlib.decompressobj(-zlib.MAX_WBITS if self._raw else _GZIP_OR_ZLIB)
        try:
            out: bytes = self._inner.decompress(data, self._limit + 1)
        except zlib.error as error:
            raise TaskError(
                "communication", 502, detail=f"the response body is damaged: {error}"
            ) from error
        if self._inner.unconsumed_tail:
            raise _too_large(self._limit)
        return out


def _decoders(encoding: str, limit: int) -> list[_Inflate]:
    names = [name.strip().lower() for name in encoding.split(",") if name.strip()]
    unknown = [n for n in names if n not in ("gzip", "x-gzip", "deflate", "identity")]
    if unknown or len(names) > 2:
        raise TaskError("communication", 502, detail=f"unknown content encoding {encoding!r}")
    return [_Inflate(limit) for name in names if name != "identity"]


def _text_or_base64(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset)
    except (UnicodeDecodeError, LookupError):
        return base64.b64encode(body).decode()


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _charset(content_type: str | None) -> str:
    for parameter in (content_type or "").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"') or "utf-8"
    return "utf-8"


def _too_large(limit: int) -> TaskError:
    return TaskError(
        "communication",
        502,
        "The response is too large",
        f"the response body is larger than {limit} bytes",
    )
