"""Forms: name and value pairs as browsers send them, and multipart bodies."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any
from urllib.parse import urlencode

import msgspec

from flunq.sdk.executor import TaskError

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a multipart body."""

    name: str
    content: bytes
    content_type: str | None = None
    filename: str | None = None


def plain_text(value: Any) -> str:
    """Return a value as the text that stands for it outside of JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return "" if value is None else msgspec.json.encode(value).decode()


def from_base64(text: str, what: str) -> bytes:
    """Return the bytes that a text stands for: JSON has no other way to hold them."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise TaskError("validation", 400, "Not base64", f"{what} must be base64 text") from None


def encode_form(fields: dict[str, Any]) -> bytes:
    """Return the pairs of an object; a list gives several, null gives none."""
    pairs = [(name, plain_text(item)) for name, value in fields.items() for item in _items(value)]
    return urlencode(pairs).encode()


def multipart_parts(fields: dict[str, Any]) -> list[Part]:
    """Return an object's members as parts: texts as they are, the rest as JSON."""
    return [field_part(name, item) for name, value in fields.items() for item in _items(value)]


def field_part(name: str, value: Any, content_type: str | None = None) -> Part:
    """Return one value as a part."""
    if isinstance(value, (dict, list)):
        content = msgspec.json.encode(value)
        return Part(name=name, content=content, content_type=content_type or "application/json")
    return Part(name=name, content=plain_text(value).encode(), content_type=content_type)


def file_part(name: str, value: Any, content_type: str | None = None) -> Part:
    """Return base64 text as the content of a file."""
    if not isinstance(value, str):
        raise TaskError("validation", 400, "Not base64", f"the file {name} must be base64 text")
    return Part(
        name=name,
        content=from_base64(value, f"the file {name}"),
        content_type=content_type or "application/octet-stream",
        filename=name,
    )


def encode_multipart(parts: list[Part]) -> tuple[bytes, str]:
    """Return the body and its content type; the same parts always give the same bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.content)
    boundary = f"flunq-{digest.hexdigest()[:32]}"
    body = bytearray()
    for part in parts:
        body += f"--{boundary}\r\n{_head(part)}\r\n\r\n".encode()
        body += part.content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return bytes(body), f"{MULTIPART}; boundary={boundary}"


def _head(part: Part) -> str:
    head = f'Content-Disposition: form-data; name="{_quoted(part.name)}"'
    if part.filename is not None:
        head += f'; filename="{_quoted(part.filename)}"'
    return f"{head}\r\nContent-Type: {part.content_type}" if part.content_type else head


def _quoted(text: str) -> str:
    """Escape what would end a name, as browsers do."""
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _items(value: Any) -> list[Any]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if item is not None]
