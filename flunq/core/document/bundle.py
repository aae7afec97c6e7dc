"""What is registered with a document: the content of everything that it refers to.

So an execution never depends on what an address gives later, and executors need no access to the
files of whoever registered the document. Schemas and functions are kept as JSON, for the engine;
other files as they are, for executors, which find them under ``flunq-resource:SHA256``.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.document.addresses import (
    DOCUMENT,
    AddressError,
    is_remote,
    is_template,
    locate,
)
from flunq.core.document.references import FILES, Role, place

if TYPE_CHECKING:
    from collections.abc import Mapping

RESOURCE = "flunq-resource:"
MAX_RESOURCE = 8 * 1024 * 1024
MAX_BUNDLE = 32 * 1024 * 1024
ENGINE_ROLES = frozenset({"schema", "function"})
"""What the engine reads itself; the rest is for executors."""
_BLOB = "resource-"


class NotBundledError(Exception):
    """The definition was registered without this."""


class Bundled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One content that is registered with a definition."""

    sha256: str
    role: Role = "file"
    imports: dict[str, str] = {}
    """Addresses of the files that it imports, by the name that it has for them."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to a document."""

    digest: str
    """Of the document and all of this."""
    table: dict[str, Bundled] = {}
    """By address."""
    contents: dict[str, bytes] = {}
    """By SHA-256."""

    def functions(self) -> dict[str, dict[str, Any]]:
        """Return the functions outside of the document, by address."""
        return {
            address: msgspec.json.decode(self.contents[entry.sha256])
            for address, entry in self.table.items()
            if entry.role == "function"
        }


class Library:
    """The registered contents of one definition."""

    __slots__ = ("_contents", "_values", "table")

    def __init__(self, table: Mapping[str, Bundled], contents: Mapping[str, bytes]) -> None:
        self.table = table
        """What is there, by address."""
        self._contents = contents
        self._values: dict[str, Any] = {}

    def value(self, address: str) -> Any:
        """Return a schema or function; raises NotBundledError."""
        entry = self.table.get(address)
        body = None if entry is None else self._contents.get(entry.sha256)
        if entry is None or body is None:
            raise NotBundledError(f"{address} was not registered with the definition")
        if entry.sha256 not in self._values:
            self._values[entry.sha256] = msgspec.json.decode(body)
        return self._values[entry.sha256]

    def mentions(self, text: str) -> bool:
        """Tell whether a text stands in a function."""
        wanted = text.encode()
        return any(
            wanted in self._contents.get(entry.sha256, b"")
            for entry in self.table.values()
            if entry.role == "function"
        )

    def localised(self, task: dict[str, Any], base: str) -> dict[str, Any]:
        """Return a task with the registered contents in place of the addresses of files."""
        key = FILES.get(str(task.get("call")))
        if key is not None:
            return self._replaced(task, ("with", key), base)
        if isinstance(task.get("run"), dict):
            return self._replaced(task, ("run", "script", "source"), base)
        return task

    def _replaced(self, value: dict[str, Any], path: tuple[str, ...], base: str) -> dict[str, Any]:
        inner = value.get(path[0])
        if not isinstance(inner, dict):
            return value
        changed = self._replaced(inner, path[1:], base) if path[1:] else self._resource(inner, base)
        return {**value, path[0]: changed}

    def _resource(self, resource: dict[str, Any], base: str) -> dict[str, Any]:
        written, _ = place(resource.get("endpoint"))
        if not written or is_template(written) or is_remote(written.lower()):
            return resource
        try:
            entry = self.table.get(locate(written, base))
        except AddressError:
            entry = None
        if entry is None:
            return resource
        imports = {name: self.uri(address) for name, address in entry.imports.items()}
        found = {**resource, "endpoint": RESOURCE + entry.sha256}
        return {**found, "imports": imports} if imports else found

    def uri(self, address: str) -> str:
        """Return under which URI executors find a content."""
        return RESOURCE + self.table[address].sha256


EMPTY = Library({}, {})


def content_hash(body: bytes) -> str:
    """Return the name of a content."""
    return sha256(body).hexdigest()


def blob_key(digest: str) -> str:
    """Return where a content lies in the blob store."""
    return _BLOB + digest


def bundled_digest(document: str, table: Mapping[str, Bundled]) -> str:
    """Return the digest of a definition: that of its document, unless it refers to more."""
    if not table:
        return document
    return content_hash(msgspec.json.encode([document, dict(table)], order="deterministic"))


__all__ = [
    "DOCUMENT",
    "EMPTY",
    "ENGINE_ROLES",
    "MAX_BUNDLE",
    "MAX_RESOURCE",
    "RESOURCE",
    "Bundle",
    "Bundled",
    "Library",
    "NotBundledError",
    "blob_key",
    "bundled_digest",
    "content_hash",
]
