"""``call: http``."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.sdk.executor import JSON, Call, Executor, TaskError
from flunq_plugins.http_body import decode_body, encode_body

if TYPE_CHECKING:
    import httpx

    from flunq.sdk.context import ExecutorContext, TaskContext
    from flunq_plugins.http_client import HttpClient, Reply

USER_AGENT = "flunq"
_REDACTED = "[redacted]"
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization"})
_OUTPUTS = ("content", "raw", "response")
_EXCERPT = 300


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
            await self._client.aclose()

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
        self._headers = _strings(arguments.get("headers"), "headers")
        self._body = arguments.get("body")
        self._output = arguments.get("output") or "content"
        if self._output not in _OUTPUTS:
            raise _invalid(f"output must be one of {', '.join(_OUTPUTS)}")
        self.redirect = arguments.get("redirect") is True
        endpoint = arguments.get("endpoint")
        policy: Any = None
        if isinstance(endpoint, dict):
            endpoint, policy = endpoint.get("uri"), endpoint.get("authentication")
        self._url = _url(_text(endpoint, "endpoint"), arguments.get("query"))
        self.auth = self._authentication(policy, context)
        if self._url.userinfo:
            self._url = self._url.copy_with(username=None, password=None)
        self.where = f"{self._method} {self._url.copy_with(query=None, fragment=None)}"

    def request(self) -> httpx.Request:
        """Return the request, with the headers that every call has."""
        from httpx import Request

        names = {name.lower() for name in self._headers}
        content_type = next(
            (v for n, v in self._headers.items() if n.lower() == "content-type"), None
        )
        content, content_type = encode_body(self._body, content_type)
        defaults = {
            "accept": "*/*",
            "accept-encoding": "gzip, deflate",
            "user-agent": USER_AGENT,
            "idempotency-key": self._call.key,
        }
        if content_type is not None:
            defaults["content-type"] = content_type
        if self._call.traceparent:
            defaults["traceparent"] = self._call.traceparent
        headers = self._headers | {n: v for n, v in defaults.items() if n not in names}
        try:
            return Request(self._method, self._url, headers=headers, content=content)
        except (UnicodeEncodeError, TypeError) as error:
            raise _invalid(f"a header is not plain ASCII: {error}") from error

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
                "uri": str(reply.request.url),
                "headers": _plain(reply.request.headers),
            },
            "statusCode": reply.status,
            "headers": _plain(reply.headers),
            "content": content,
        }

    def _error(self, reply: Reply) -> TaskError:
        from httpx import codes

        reason = codes.get_reason_phrase(reply.status)
        content = decode_body(reply.body[:_EXCERPT], "text/plain") if reply.body else None
        detail = f"{self.where} answered {reply.status} {reason}".rstrip()
        return TaskError(
            "communication",
            reply.status,
            reason or None,
            f"{detail}: {content}" if content else detail,
        )

    def _authentication(self, policy: Any, context: TaskContext) -> httpx.Auth | None:
        import httpx

        if policy is None:
            if not self._url.userinfo:
                return None
            return httpx.BasicAuth(self._url.username, self._url.password)
        scheme, members = _scheme(policy)
        if isinstance(members.get("use"), str):
            members = _object(
                context.secrets.resolve(members["use"]), f"the secret {members['use']}"
            )
        if scheme == "bearer":
            token = _text(members.get("token"), "the token of bearer authentication")
            self._headers = {
                n: v for n, v in self._headers.items() if n.lower() != "authorization"
            } | {"authorization": f"Bearer {token}"}
            return None
        username = _text(members.get("username"), f"the username of {scheme} authentication")
        password = _text(members.get("password"), f"the password of {scheme} authentication")
        if scheme == "basic":
            return httpx.BasicAuth(username, password)
        return httpx.DigestAuth(username, password)


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


def _url(text: str, query: Any) -> httpx.URL:
    import httpx

    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise _invalid(f"endpoint {text!r:.200} is not a URI: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise _invalid(f"endpoint {text!r:.200} is not an absolute http or https URI")
    parameters = _parameters(query)
    return url.copy_merge_params(parameters) if parameters else url


def _parameters(query: Any) -> dict[str, str | list[str]]:
    members = {} if query is None else _object(query, "query")
    return {
        name: [_plain_text(v) for v in value] if isinstance(value, list) else _plain_text(value)
        for name, value in members.items()
        if value is not None
    }


def _strings(headers: Any, what: str) -> dict[str, str]:
    members = {} if headers is None else _object(headers, what)
    strings = {name: _plain_text(value) for name, value in members.items() if value is not None}
    for name, value in strings.items():
        if any(c in "\r\n\0" for c in name + value):
            raise _invalid(f"header {name!r:.100} contains a line break")
    return strings


def _plain_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _plain(headers: httpx.Headers) -> dict[str, JSON]:
    return {
        name: _REDACTED if name in _SECRET_HEADERS else value for name, value in headers.items()
    }


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
