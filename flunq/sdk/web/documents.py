"""Resources that are JSON or YAML: read once, with limits, for strangers wrote them."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.reading.problems import InvalidDocument
from flunq.sdk.executor import TaskError
from flunq.sdk.web.resources import Resource, load_resource, shown

if TYPE_CHECKING:
    from flunq.sdk.context import TaskContext

MAX_YAML = 8 * 1024 * 1024
_SMALL = 16 * 1024
_MAX_KEPT = 32 * 1024 * 1024
_KEY = "web.documents"


class ParsedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The value of a resource; it is shared, so nobody changes it."""

    uri: str
    value: Any
    digest: bytes


async def load_document(resource: Any, context: TaskContext) -> ParsedDocument:
    """Return the value of an external resource in JSON or YAML."""
    loaded = await load_resource(resource, context)
    cache: _Cache = context.shared.kept.setdefault(_KEY, _Cache())
    known = cache.get(loaded)
    if known is None:
        small = len(loaded.content) <= _SMALL
        known = _parsed(loaded) if small else await asyncio.to_thread(_parsed, loaded)
        cache.put(loaded, known)
    return known


def _parsed(resource: Resource) -> ParsedDocument:
    digest = hashlib.sha256(resource.content).digest()
    return ParsedDocument(uri=resource.uri, value=parse(resource), digest=digest)


def parse(resource: Resource) -> Any:
    """Return the value of a text in JSON or YAML; raises a ``validation`` TaskError."""
    text = resource.text()
    if text.lstrip()[:1] in ("{", "["):
        try:
            return msgspec.json.decode(text)
        except RecursionError:
            raise _unreadable(resource, "values are nested too deep") from None
        except msgspec.DecodeError as error:
            # YAML's flow style looks the same.
            if (resource.media_type or "").endswith("json"):
                raise _unreadable(resource, str(error)) from error
    if len(resource.content) > MAX_YAML:
        raise _unreadable(resource, f"YAML may have {MAX_YAML} bytes; JSON may have more")
    return _yaml(resource, text)


def _yaml(resource: Resource, text: str) -> Any:
    import yaml

    from flunq.core.reading.yaml_source import read_yaml

    try:
        value, _ = read_yaml(text, shown(resource.uri))
    except InvalidDocument as invalid:
        problem = next(iter(invalid.problems))
        where = f"line {problem.line}, column {problem.column}"
        raise _unreadable(resource, f"{problem.message} ({where})") from invalid
    except yaml.YAMLError as error:
        raise _unreadable(resource, str(error)[:200]) from error
    return value


def _unreadable(resource: Resource, problem: str) -> TaskError:
    detail = f"{shown(resource.uri)} is neither JSON nor YAML that can be read: {problem}"
    return TaskError("validation", 400, "The document cannot be read", detail)


class _Cache:
    """The documents that were used last, by address and content."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, bytes], ParsedDocument] = OrderedDict()
        self._size = 0

    def get(self, resource: Resource) -> ParsedDocument | None:
        # The same bytes object remembers its hash: nothing is read again.
        key = resource.uri, resource.content
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, resource: Resource, document: ParsedDocument) -> None:
        key = resource.uri, resource.content
        if key not in self._entries:
            self._size += len(resource.content)
        self._entries[key] = document
        while self._size > _MAX_KEPT and len(self._entries) > 1:
            (_, content), _ = self._entries.popitem(last=False)
            self._size -= len(content)
