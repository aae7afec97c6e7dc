"""What ``call: http`` and ``call: openapi`` have in common: sending and the forms of output."""

from __future__ import annotations

import asyncio
import base64
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from flunq.sdk.executor import JSON, Call, TaskError
from flunq.sdk.web.authentication import credentials
from flunq.sdk.web.body import decode_body
from flunq.sdk.web.shared import http_client

if TYPE_CHECKING:
    import httpx

    from flunq.sdk.context import TaskContext
    from flunq.sdk.web.client import Outgoing, Reply

USER_AGENT = "flunq"
OUTPUTS = ("content", "raw", "response")
_REDACTED = "[redacted]"
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization"})
_EXCERPT = 300
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A request as a document wants it."""

    method: str
    url: Any
    """An ``httpx.URL``."""
    headers: dict[str, str]
    content: bytes = b""
    content_type: str | None = None
    policy: Any = None
    output: str = "content"
    redirect: bool = False
    secret_headers: frozenset[str] = frozenset()
    """Headers that carry credentials, besides the usual ones."""
    secret_query: frozenset[str] = frozenset()
    """Query parameters, in lower case, that carry credentials."""

    @property
    def where(self) -> str:
        """Return method and address for messages, without what may be secret."""
        url: httpx.URL = self.url
        return f"{self.method} {url.scheme}://{url.netloc.decode()}{url.path}"


async def perform(wanted: Wanted, call: Call, context: TaskContext) -> JSON:
    """Send the request and return the response in the form that was asked for."""
    seconds, has_deadline = time_left(call, context.settings.request_timeout)
    try:
        async with asyncio.timeout(seconds):
            reply = await _send(wanted, call, context)
    except TimeoutError:
        detail = f"{wanted.where}: no complete response within {seconds:.1f} s"
        if has_deadline:
            raise TaskError("timeout", 408, detail=detail) from None
        raise TaskError("communication", 504, detail=detail) from None
    return _output(wanted, reply)


def time_left(call: Call, limit: float) -> tuple[float, bool]:
    """Return how many seconds a call may take, and whether its own deadline says so."""
    if call.deadline is None:
        return limit, False
    left = max(0.0, call.deadline / 1_000_000 - time.time())
    return (left, True) if left < limit else (limit, False)


async def _send(wanted: Wanted, call: Call, context: TaskContext) -> Reply:
    client = await http_client(context)
    policy = wanted.policy
    if policy is None and wanted.url.userinfo:
        user = {"username": wanted.url.username, "password": wanted.url.password}
        policy = {"basic": user}
    granted = await credentials(policy, context, client)
    request = _request(wanted, call, granted.headers)
    return await client.send(request, auth=granted.auth, follow=wanted.redirect)


def _request(wanted: Wanted, call: Call, granted: dict[str, str]) -> Outgoing:
    from flunq.sdk.web.client import PRIVATE_HEADERS, Outgoing

    headers = {
        "accept": "*/*",
        "accept-encoding": "gzip, deflate",
        "user-agent": USER_AGENT,
        "idempotency-key": _header_text(call.key),
    }
    if wanted.content_type is not None:
        headers["content-type"] = wanted.content_type
    if call.traceparent:
        headers["traceparent"] = call.traceparent
    headers |= wanted.headers | granted
    private = PRIVATE_HEADERS | wanted.secret_headers
    return Outgoing(wanted.method, wanted.url, headers, wanted.content, private)


def _output(wanted: Wanted, reply: Reply) -> JSON:
    """Return the response as asked for; an error status is a ``communication`` error."""
    if not 200 <= reply.status < (400 if wanted.redirect else 300):
        raise _error(wanted, reply)
    if wanted.output == "raw":
        return base64.b64encode(reply.body).decode()
    content = decode_body(reply.body, reply.headers.get("content-type"))
    if wanted.output == "content":
        return content
    secret = _SECRET_HEADERS | wanted.secret_headers
    return {
        "request": {
            "method": reply.request.method,
            "uri": _shown(reply.request.url, wanted.secret_query),
            "headers": _redacted(reply.request.headers, secret),
        },
        "statusCode": reply.status,
        "headers": _redacted(reply.headers, secret),
        "content": content,
    }


def _error(wanted: Wanted, reply: Reply) -> TaskError:
    reason = _REASONS.get(reply.status, "")
    detail = f"{wanted.where} answered {reply.status} {reason}".rstrip()
    if reply.body:
        detail += f": {decode_body(reply.body[:_EXCERPT], 'text/plain')}"
    return TaskError("communication", reply.status, reason or None, detail)


def _header_text(text: str) -> str:
    """Escape what a header cannot carry: task names are part of keys, and free text."""
    return text if text.isascii() and text.isprintable() else quote(text, safe="/:#.~ ")


def _redacted(headers: dict[str, str], secret: frozenset[str]) -> dict[str, JSON]:
    return {n: _REDACTED if n in secret else value for n, value in headers.items()}


def _shown(url: httpx.URL, secret: frozenset[str]) -> str:
    if url.userinfo:
        url = url.copy_with(username=None, password=None)
    hidden = {name: _REDACTED for name in url.params if name.lower() in secret}
    return str(url.copy_merge_params(hidden) if hidden else url)
