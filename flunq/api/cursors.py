"""Cursors of pages: opaque to callers, and refused when they were made up."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec

from flunq.api.problems import InvalidFieldError


def encode_cursor(value: Any) -> str:
    """Return a position as one word."""
    return urlsafe_b64encode(msgspec.json.encode(value)).rstrip(b"=").decode()


def decode_cursor(text: str, kind: Any, *, where: str = "?.cursor") -> Any:
    """Read a cursor; raises InvalidFieldError."""
    try:
        body = urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
        return msgspec.json.decode(body, type=kind)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidFieldError("this is no cursor of ours", path=where) from error
