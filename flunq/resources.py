"""Data files that ship with flunq: the JSON Schemas."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

_PACKAGE = Path(__file__).parent


def schema_bytes(name: str) -> bytes:
    """Return the text of the schema ``name``."""
    return (_folder() / f"{name}.json").read_bytes()


def load_schema(name: str) -> dict[str, Any]:
    """Return the schema ``name`` as a value of its own, free to be changed."""
    schema: dict[str, Any] = msgspec.json.decode(schema_bytes(name))
    return schema


@cache
def _folder() -> Path:
    # A wheel carries the schemas inside the package. An editable install has a stale copy in
    # site-packages, so only the neighbours of this very file count.
    packaged = _PACKAGE / "_schemas"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "schemas"
