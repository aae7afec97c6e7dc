"""Bodies of HTTP messages: reading with limits, and what they mean by their content type."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.sdk.executor import JSON, TaskError
from flunq.sdk.web.forms import (
    FORM,
    MULTIPART,
    encode_form,
    encode_multipart,
    from_base64,
    multipart_parts,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Mapping

_TEXT_TYPES = frozenset(
    {
        FORM,
        "application/ecmascript",
        "application/graphql",
        "application/javascript",
        "application/jsonl",
        "application/jwt",
        "application/sql",
        "application/toml",
        "application/x-ndjson",
        "application/x-yaml",
        "application/xml",
        "application/yaml",
    }
)
_TEXT_SUFFIXES = ("+xml", "+yaml")
_BINARY = ("audio/", "font/", "image/", "video/")
_BINARY_TYPES = frozenset(
    {
        "application/cbor",
        "application/gzip",
        "application/msgpack",
        "application/octet-stream",
        "application/pdf",
        "application/protobuf",
        "application/wasm",
        "application/x-protobuf",
        "application/x-tar",
        "application/zip",
    }
)
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


def encode_body(body: Any, content_type: str | None) -> tuple[bytes, str | None]:
    """Return a request's body and its content type.

    An object can be a form; a text is sent as it is, or, where the content type is binary, it is
    base64 of what is sent; anything else is JSON.
    """
    if body is None:
        return b"", content_type
    media = media_type(content_type or "")
    if isinstance(body, str):
        if is_binary(media):
            return from_base64(body, f"a body of type {media}"), content_type
        return _encoded(body, content_type), content_type or "text/plain; charset=utf-8"
    if isinstance(body, dict) and media == FORM:
        return encode_form(body), content_type
    if isinstance(body, dict) and media == MULTIPART:
        return encode_multipart(multipart_parts(body))
    return msgspec.json.encode(body), content_type or "application/json"


def is_json(media: str) -> bool:
    """Tell whether a media type is JSON."""
    return media == "application/json" or media.endswith("+json")


def is_binary(media: str) -> bool:
    """Tell whether a media type is no text; what is unknown may be text."""
    return (media.startswith(_BINARY) and not media.endswith("+xml")) or media in _BINARY_TYPES


def _encoded(text: str, content_type: str | None) -> bytes:
    try:
        return text.encode(_charset(content_type))
    except (UnicodeEncodeError, LookupError):
        detail = f"the body cannot be written in the charset of {content_type}"
        raise TaskError("validation", 400, "Not a valid body", detail) from None


def decode_body(body: bytes, content_type: str | None) -> JSON:
    """Return the value of a body: JSON, text, or base64 of anything else."""
    if not body:
        return None
    media = media_type(content_type or "")
    if not media or is_json(media):
        try:
            value: JSON = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return _text_or_base64(body, _charset(content_type))
        return value
    if media.startswith("text/") or media in _TEXT_TYPES or media.endswith(_TEXT_SUFFIXES):
        return _text_or_base64(body, _charset(content_type))
    return base64.b64encode(body).decode()


async def read_body(chunks: AsyncIterable[bytes], headers: Mapping[str, str], limit: int) -> bytes:
    """Read a body, decompressed, and stop as soon as it is over the limit."""
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for data in decompressed(chunks, headers, limit):
        body += data
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


async def decompressed(
    chunks: AsyncIterable[bytes], headers: Mapping[str, str], limit: int
) -> AsyncGenerator[bytes, None]:
    """Undo the content encoding as the chunks come; no chunk may expand over the limit."""
    decoders = _decoders(headers.get("content-encoding", ""), limit)
    async for chunk in chunks:
        data = chunk
        for decoder in decoders:
            data = decoder.feed(data)
        if data:
            yield data
    if not all(decoder.complete for decoder in decoders):
        raise _damaged("it ends too early")


class _Inflate:
    """Decompresses gzip or deflate, never holding more than the limit and a little."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inner: Any = None
        self._raw = False

    @property
    def complete(self) -> bool:
        """Tell whether nothing is missing at the end."""
        return self._inner is None or self._inner.eof

    def feed(self, data: bytes) -> bytes:
        """Return the next bytes; a member that expands over the limit is an error."""
        if not data:
            return b""
        if self._inner is None:
            # Some servers send deflate without its zlib header.
            self._raw = data[:1] not in (b"\x1f", b"\x78")
            self._inner = zlib.decompressobj(-zlib.MAX_WBITS if self._raw else _GZIP_OR_ZLIB)
        try:
            out: bytes = self._inner.decompress(data, self._limit + 1)
        except zlib.error as error:
            raise _damaged(str(error)) from error
        if self._inner.unconsumed_tail:
            raise _too_large(self._limit)
        return out


def _decoders(encoding: str, limit: int) -> list[_Inflate]:
    names = [name.strip().lower() for name in encoding.split(",") if name.strip()]
    unknown = [n for n in names if n not in ("gzip", "x-gzip", "deflate", "identity")]
    if unknown or len(names) > 2:
        raise TaskError("communication", 502, detail=f"unknown content encoding {encoding!r}")
    return [_Inflate(limit) for name in reversed(names) if name != "identity"]


def _text_or_base64(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset)
    except (UnicodeDecodeError, LookupError):
        return base64.b64encode(body).decode()


def media_type(content_type: str) -> str:
    """Return a content type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def _charset(content_type: str | None) -> str:
    for parameter in (content_type or "").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"') or "utf-8"
    return "utf-8"


def _damaged(problem: str) -> TaskError:
    return TaskError("communication", 502, detail=f"the response body is damaged: {problem}")


def _too_large(limit: int) -> TaskError:
    return TaskError(
        "communication",
        502,
        "The response is too large",
        f"the response body is larger than {limit} bytes",
    )
