"""``call: http``."""

from __future__ import annotations

import asyncio
import base64
import time
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from flunq.sdk.executor import JSON, Call, Executor, TaskError
from flunq_plugins.http_body import decode_body, encode_body

if TYPE_CHECKING:
    import httpx

    from flunq.sdk.context import ExecutorContext, TaskContext
    from flunq_plugins.http_client import HttpClient, Outgoing, Reply

USER_AGENT = "flunq"
_REDACTED = "[redacted]"
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization"})
_OUTPUTS = ("content", "raw", "response")
_FRAMING = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"})
"""Headers that belong to the connection, whatever a document says."""
_EXCERPT = 300
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class HttpExecutor(Executor):
    """Sends HTTP requests."""

    kinds = ("http",)

    def __init__(self) -> None:
        self._context: ExecutorContext | None = None
        self._opening = asyncio.Lock()
        self._client: HttpClient | None = None

    async def start(self, context: ExecutorContext) -> None:
        """Remember the settings; connections come with the first call."""
        self._context = context

    async def aclose(self) -> None:
        """Close all connections."""
        if self._client is not None:
            self._client.close()

    async def execute(self, call: Call, context: TaskContext) -> JSON:
        """Send the request and return the response in the form that was asked for."""
        client = self._client or await self._open(context)
        wanted = _Wanted(call, context)
        seconds, has_deadline = _time_left(call, context.settings.request_timeout)
        try:
            async with asyncio.timeout(seconds):
                reply = await client.send(
                    wanted.request(), auth=wanted.auth, follow=wanted.redirect
                )
        except TimeoutError:
            detail = f"{wanted.where}: no complete response within {seconds:.1f} s"
            if has_deadline:
                raise TaskError("timeout", 408, detail=detail) from None
            raise TaskError("communication", 504, detail=detail) from None
        return wanted.output(reply)

    async def _open(self, context: TaskContext) -> HttpClient:
        async with self._opening:
            if self._client is None:
                # Importing takes too long for the loop.
                self._client = await asyncio.to_thread(_new_client, context)
            return self._client


def _new_client(context: TaskContext) -> HttpClient:
    from flunq_plugins.http_client import HttpClient

    return HttpClient(context.settings)


def _time_left(call: Call, limit: float) -> tuple[float, bool]:
    if call.deadline is None:
        return limit, False
    left = max(0.0, call.deadline / 1_000_000 - time.time())
    return (left, True) if left < limit else (limit, False)


class _Wanted:
    """What the arguments ask for."""

    def __init__(self, call: Call, context: TaskContext) -> None:
        arguments = _object(call.arguments, "with")
        self._call = call
        self._method = _text(arguments.get("method"), "method").upper()
        self._headers = _strings(arguments.get("headers"))
        self._body = arguments.get("body")
        self._output = arguments.get("output") or "content"
        if self._output not in _OUTPUTS:
            raise _invalid(f"output must be one of {', '.join(_OUTPUTS)}")
        self.redirect = arguments.get("redirect") is True
        endpoint = arguments.get("endpoint")
        policy: Any = None
        if isinstance(endpoint, dict):
            policy = endpoint.get("authentication")
            endpoint = endpoint.get("uri")
        url = _url(_text(endpoint, "endpoint"))
        parameters = _parameters(arguments.get("query"))
        self._url = url.copy_merge_params(parameters) if parameters else url
        self.auth = self._authentication(policy, context)

    @property
    def where(self) -> str:
        """Return method and address for messages, without what may be secret."""
        url = self._url
        return f"{self._method} {url.scheme}://{url.netloc.decode()}{url.path}"

    def request(self) -> Outgoing:
        """Return the request, with the headers that every call has."""
        from flunq_plugins.http_client import Outgoing

        content, content_type = encode_body(self._body, self._headers.get("content-type"))
        headers = {
            "accept": "*/*",
            "accept-encoding": "gzip, deflate",
            "user-agent": USER_AGENT,
            "idempotency-key": _header_text(self._call.key),
        }
        if content_type is not None:
            headers["content-type"] = content_type
        if self._call.traceparent:
            headers["traceparent"] = self._call.traceparent
        return Outgoing(self._method, self._url, headers | self._headers, content)

    def output(self, reply: Reply) -> JSON:
        """Return the response as asked for; an error status is a ``communication`` error."""
        if not 200 <= reply.status < (400 if self.redirect else 300):
            raise self._error(reply)
        if self._output == "raw":
            return base64.b64encode(reply.body).decode()
        content = decode_body(reply.body, reply.headers.get("content-type"))
        if self._output == "content":
            return content
        return {
            "request": {
                "method": reply.request.method,
                "uri": _shown(reply.request.url),
                "headers": _redacted(reply.request.headers),
            },
            "statusCode": reply.status,
            "headers": _redacted(reply.headers),
            "content": content,
        }

    def _error(self, reply: Reply) -> TaskError:
        reason = _REASONS.get(reply.status, "")
        detail = f"{self.where} answered {reply.status} {reason}".rstrip()
        if reply.body:
            detail += f": {decode_body(reply.body[:_EXCERPT], 'text/plain')}"
        return TaskError("communication", reply.status, reason or None, detail)

    def _authentication(self, policy: Any, context: TaskContext) -> httpx.Auth | None:
        import httpx

        if policy is None:
            if self._url.userinfo:
                self._authorize("Basic", _basic(self._url.username, self._url.password))
            return None
        scheme, members = _scheme(policy)
        if isinstance(members.get("use"), str):
            secret = members["use"]
            members = _object(context.secrets.resolve(secret), f"the secret {secret!r}")
        if scheme == "bearer":
            self._authorize("Bearer", _text(members.get("token"), "the token to authenticate"))
            return None
        username = _text(members.get("username"), "the username to authenticate")
        password = _text(members.get("password"), "the password to authenticate")
        if scheme == "digest":
            return httpx.DigestAuth(username, password)
        self._authorize("Basic", _basic(username, password))
        return None

    def _authorize(self, scheme: str, credentials: str) -> None:
        self._headers["authorization"] = f"{scheme} {credentials}"


def _basic(username: str, password: str) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def _scheme(policy: Any) -> tuple[str, dict[str, Any]]:
    for scheme in ("basic", "bearer", "digest"):
        if isinstance(policy, dict) and isinstance(policy.get(scheme), dict):
            return scheme, policy[scheme]
    named = ", ".join(policy) if isinstance(policy, dict) else repr(policy)
    raise TaskError(
        "configuration",
        400,
        "The authentication policy cannot be used",
        f"call: http authenticates with basic, bearer or digest, not with {named}",
    )


@lru_cache(maxsize=1024)
def _url(text: str) -> httpx.URL:
    import httpx

    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise _invalid(f"the endpoint is not a URI: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise _invalid(f"the endpoint {text[:200]!r} is not an absolute http or https URI")
    return url


def _parameters(query: Any) -> dict[str, str | list[str]]:
    members = {} if query is None else _object(query, "query")
    return {
        name: [_plain_text(v) for v in value] if isinstance(value, list) else _plain_text(value)
        for name, value in members.items()
        if value is not None
    }


def _strings(headers: Any) -> dict[str, str]:
    members = {} if headers is None else _object(headers, "headers")
    strings = {n.lower(): _plain_text(v) for n, v in members.items() if v is not None}
    return {name: value for name, value in strings.items() if name not in _FRAMING}


def _header_text(text: str) -> str:
    """Escape what a header cannot carry: task names are part of keys, and free text."""
    return text if text.isascii() and text.isprintable() else quote(text, safe="/:#.~ ")


def _plain_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _redacted(headers: dict[str, str]) -> dict[str, JSON]:
    return {n: _REDACTED if n in _SECRET_HEADERS else value for n, value in headers.items()}


def _shown(url: httpx.URL) -> str:
    return str(url.copy_with(username=None, password=None) if url.userinfo else url)


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(f"{what} must be an object")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise _invalid(f"{what} must be a text")
    return value


def _invalid(problem: str) -> TaskError:
    return TaskError("validation", 400, "Not a valid HTTP call", problem)
