"""External resources of the DSL: fetched over HTTP, read from a file or from a definition."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

import msgspec

from flunq.sdk.executor import TaskError
from flunq.sdk.web.authentication import credentials
from flunq.sdk.web.once import Once
from flunq.sdk.web.shared import http_client

if TYPE_CHECKING:
    from flunq.sdk.context import TaskContext

BUNDLED = "flunq-resource:"
"""Begins the URI of content that was registered with the definition."""
CACHE_SECONDS = 60.0
MAX_BYTES = 16 * 1024 * 1024
_CACHE_BYTES = 64 * 1024 * 1024
_KEY = "web.resources"


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """The content of an external resource."""

    uri: str
    """Where it came from; relative references inside it are relative to this."""
    content: bytes
    media_type: str | None = None

    def text(self) -> str:
        """Return the content as text; it has to be UTF-8."""
        try:
            return self.content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            detail = f"{shown(self.uri)} is not UTF-8 text: {error.reason} at byte {error.start}"
            raise TaskError("validation", 400, "Not a text", detail) from None


async def load_resource(resource: Any, context: TaskContext) -> Resource:
    """Return the content of an external resource, at most a minute old.

    ``resource`` is a URI, or ``{endpoint: uri}``, or ``{endpoint: {uri, authentication}}``. Files
    are read only where local programs may run too (``settings.programs``): whoever may start a
    program may read files with it, and nobody else should.
    """
    uri, policy = _place(resource)
    scheme = _split(uri).scheme.lower()
    if scheme in ("", "file"):
        return await _read(uri, context)
    if scheme not in ("http", "https", BUNDLED.removesuffix(":")):
        raise _malformed(f"resources come from http, https and file, not from {scheme}:")
    cache: _Cache = context.shared.kept.setdefault(_KEY, _Cache())
    key = msgspec.json.encode([uri, policy])
    known = cache.get(key)
    if known is None:
        limit = context.settings.request_timeout
        known = await cache.once.run(key, lambda: _fetch(uri, policy, context), limit)
        cache.put(key, known)
    return known


def _place(resource: Any) -> tuple[str, Any]:
    endpoint = resource.get("endpoint") if isinstance(resource, dict) else resource
    policy = None
    if isinstance(endpoint, dict):
        policy = endpoint.get("authentication")
        endpoint = endpoint.get("uri")
    if not isinstance(endpoint, str) or not endpoint:
        raise _malformed("it needs an endpoint: a URI, or an object with uri")
    return endpoint, policy


class _Cache:
    """What was fetched lately, and what is being fetched."""

    def __init__(self) -> None:
        self.once = Once()
        self._entries: OrderedDict[bytes, tuple[float, Resource]] = OrderedDict()
        self._size = 0

    def get(self, key: bytes) -> Resource | None:
        until, resource = self._entries.get(key, (0.0, None))
        return resource if time.monotonic() < until else None

    def put(self, key: bytes, resource: Resource) -> None:
        self._drop(key)
        self._entries[key] = (time.monotonic() + CACHE_SECONDS, resource)
        self._size += len(resource.content)
        while self._size > _CACHE_BYTES:
            self._drop(next(iter(self._entries)))

    def close(self) -> None:
        """Stop fetching."""
        self.once.close()

    def _drop(self, key: bytes) -> None:
        _, dropped = self._entries.pop(key, (0.0, None))
        if dropped is not None:
            self._size -= len(dropped.content)


async def _fetch(uri: str, policy: Any, context: TaskContext) -> Resource:
    if uri.startswith(BUNDLED):
        return Resource(uri=uri, content=await context.shared.bundled(uri.removeprefix(BUNDLED)))
    client = await http_client(context)
    granted = await credentials(policy, context, client)
    from flunq.sdk.web.client import Outgoing, parse_url

    headers = {"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": "flunq"}
    request = Outgoing("GET", parse_url(uri), headers | granted.headers)
    limit = min(MAX_BYTES, context.settings.max_body)
    reply = await client.send(request, auth=granted.auth, follow=True, max_body=limit)
    if not 200 <= reply.status < 300:
        detail = f"{shown(uri)} answered {reply.status}"
        raise TaskError("communication", reply.status, "The resource cannot be read", detail)
    media = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Resource(uri=str(reply.request.url), content=reply.body, media_type=media or None)


async def _read(uri: str, context: TaskContext) -> Resource:
    if not context.settings.programs:
        detail = f"{shown(uri)} is a local file, and this process may not read those"
        raise TaskError("authorization", 403, "The file may not be read", detail)
    parts = _split(uri)
    name = url2pathname(parts.path) if parts.scheme else uri
    return await asyncio.to_thread(_file, name)


def _file(name: str) -> Resource:
    path = Path(name).resolve()
    return Resource(uri=path.as_uri(), content=_content(path))


def _content(path: Path) -> bytes:
    try:
        # A device or a pipe would never end.
        if not path.is_file():
            raise TaskError(
                "communication", 404, "The resource cannot be read", f"there is no file {path}"
            )
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        detail = f"{path}: {error.strerror or error}"
        raise TaskError("communication", 404, "The resource cannot be read", detail) from error
    if len(content) > MAX_BYTES:
        detail = f"{path} is larger than {MAX_BYTES} bytes"
        raise TaskError("communication", 502, "The resource is too large", detail)
    return content


def _split(uri: str) -> SplitResult:
    try:
        return urlsplit(uri)
    except ValueError as error:
        raise _malformed(f"the endpoint is not a URI: {error}") from error


def shown(uri: str) -> str:
    """Return a URI for messages: without a user, a password, a query."""
    parts = _split(uri)
    if not parts.netloc:
        return uri.partition("?")[0]
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _malformed(problem: str) -> TaskError:
    return TaskError("validation", 400, "Not a valid external resource", problem)
