"""The API application: one table of routes, and problem details for every failure.

It is plain ASGI: a start of an execution passes through here some thousand times a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from flunq.api.auditing import noted
from flunq.api.contract import JSON, RANKS, ApiRoute, Call, Reply, Streamed
from flunq.api.limits import GoneError, check_size, discard, read_body, read_headers
from flunq.api.negotiation import check_content_type, preferred
from flunq.api.problems import (
    InvalidFieldError,
    as_flunq_error,
    internal_problem,
    invalid_field,
    malformed,
    problem_reply,
)
from flunq.api.routing import Router
from flunq.errors import UsageError
from flunq.services.identity.links import PATH as LINKS
from flunq.services.identity.principal import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq.api.contract import Answer
    from flunq.api.limits import Receive, Scope, Send
    from flunq.api.services import ApiServices

_log = logging.getLogger(__name__)
TENANT_HEADER = "flunq-tenant"
_EXPOSED = b"location, retry-after, link"


class Api:
    """The ASGI application."""

    def __init__(self, services: ApiServices, routes: Sequence[ApiRoute]) -> None:
        self.services = services
        self.routes = tuple(routes)
        self._router = Router(routes)
        self._limits = services.settings.limits
        self._origins = frozenset(services.settings.cors_origins)
        self._decoders = {
            (route.method, route.path): msgspec.json.Decoder(route.body)
            for route in routes
            if route.body is not None and route.accepts == (JSON,)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        cors = self._cors_headers(scope)
        try:
            answer = await self._answer(scope, receive)
        except GoneError:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            answer = self._problem(scope, error)
        with contextlib.suppress(GoneError):
            if isinstance(answer, Reply):
                await self._send_reply(answer, scope, receive, send, cors)
            else:
                await self._send_stream(answer, scope, receive, send, cors)

    # --- the way in -----------------------------------------------------------------------------

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        check_size(scope, self._limits)
        headers = read_headers(scope)
        method, raw_path = scope["method"], scope["raw_path"].decode("latin-1")
        if method == "OPTIONS":
            return self._options(raw_path, headers)
        route, parameters = self._router.find(method, raw_path)
        client = scope.get("client")
        call = Call(self.services, headers, client[0] if client else "", receive)
        call.parameters = parameters
        if route.role is None:
            return await self._call(route, call, scope, receive)
        call.principal = await self.services.gate.principal(
            headers.get("authorization"), remote=call.remote
        )
        self.services.gate.allow(call.principal)
        if not (route.writes and route.audited):
            return await self._permitted(route, call, scope, receive)
        work = self._permitted(route, call, scope, receive)
        return await noted(work, lambda result: self._record(route, call, result))

    def _record(self, route: ApiRoute, call: Call, result: str) -> None:
        self.services.audit.record(
            call.principal,
            route.name,
            call.target or "/".join(call.parameters.values()),
            result,
            call.remote,
            tenant=call.tenant,
        )

    async def _permitted(
        self, route: ApiRoute, call: Call, scope: Scope, receive: Receive
    ) -> Answer:
        principal = call.principal
        assert route.role is not None
        if RANKS[principal.role] < RANKS[route.role]:
            raise ForbiddenError(
                f"this needs the role {route.role}; the token has the role {principal.role}"
            )
        if route.cluster and principal.tenant != self.services.settings.home_tenant:
            raise ForbiddenError("only administrators of the cluster may do that")
        call.tenant = self._tenant(call)
        call.client = await self.services.tenants.get(call.tenant)
        return await self._call(route, call, scope, receive)

    def _tenant(self, call: Call) -> str:
        """Return as which tenant a caller acts: its own, unless it administrates the cluster."""
        principal = call.principal
        wanted = call.headers.get(TENANT_HEADER, principal.tenant)
        if wanted == principal.tenant:
            return wanted
        home = self.services.settings.home_tenant
        if principal.role != "admin" or principal.tenant != home:
            raise ForbiddenError("a token is good for its own tenant")
        return wanted

    async def _call(self, route: ApiRoute, call: Call, scope: Scope, receive: Receive) -> Answer:
        accept = call.headers.get("accept")
        call.media = preferred(accept, route.media) if accept else route.media[0]
        call.query = _query(route, scope["query_string"])
        if route.body is not None:
            call.body = await self._body(route, call, receive)
        return await route.endpoint(call)

    async def _body(self, route: ApiRoute, call: Call, receive: Receive) -> Any:
        content_type = call.headers.get("content-type")
        check_content_type(content_type, route.accepts)
        if call.headers.get("content-encoding", "identity").lower() != "identity":
            raise UsageError("a body is taken as it is, without Content-Encoding")
        body = await read_body(call.headers, receive, self._limits)
        decoder = self._decoders.get((route.method, route.path))
        if decoder is None:
            return body
        if not body and route.optional_body:
            body = b"{}"
        try:
            return decoder.decode(body)
        except msgspec.ValidationError as error:
            raise invalid_field(error) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise malformed(error, body) from error

    # --- the way out ----------------------------------------------------------------------------

    def _problem(self, scope: Scope, error: Exception) -> Reply:
        known = as_flunq_error(error)
        if known is not None:
            return problem_reply(known)
        _log.error("%s %s failed", scope["method"], _shown(scope), exc_info=error)
        return internal_problem()

    async def _send_reply(
        self,
        reply: Reply,
        scope: Scope,
        receive: Receive,
        send: Send,
        cors: list[tuple[bytes, bytes]],
    ) -> None:
        headers = [*_headers(reply.media, reply.headers), *cors]
        if reply.status != 204:
            headers.append((b"content-length", b"%d" % len(reply.body)))
        start = {"type": "http.response.start", "status": reply.status, "headers": headers}
        body = b"" if scope["method"] == "HEAD" else reply.body
        await self._write(send, start, scope)
        if reply.headers.get("connection") == "close":
            message = {"type": "http.response.body", "body": body, "more_body": True}
            await self._write(send, message, scope)
            await discard(receive)
            body = b""
        await self._write(send, {"type": "http.response.body", "body": body}, scope)

    async def _send_stream(
        self,
        answer: Streamed,
        scope: Scope,
        receive: Receive,
        send: Send,
        cors: list[tuple[bytes, bytes]],
    ) -> None:
        headers = [*_headers(answer.media, answer.headers), *cors]
        start = {"type": "http.response.start", "status": 200, "headers": headers}
        await self._write(send, start, scope)
        if scope["method"] == "HEAD":
            await self._write(send, {"type": "http.response.body", "body": b""}, scope)
            return
        sending = asyncio.create_task(self._send_chunks(answer, scope, send))
        leaving = asyncio.create_task(_wait_gone(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            sending.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send_chunks(self, answer: Streamed, scope: Scope, send: Send) -> None:
        try:
            async with contextlib.aclosing(answer.chunks) as chunks:
                async for chunk in chunks:
                    message = {"type": "http.response.body", "body": chunk, "more_body": True}
                    await self._write(send, message, scope)
                    # Sending to somebody who is gone never waits; others want their turn.
                    await asyncio.sleep(0)
        except GoneError:
            return
        except Exception as error:  # noqa: BLE001 - the caller sees that the end is missing
            if as_flunq_error(error) is None:
                _log.error("%s %s broke off", scope["method"], _shown(scope), exc_info=error)
            _abort(scope)
            return
        await self._write(send, {"type": "http.response.body", "body": b""}, scope)

    async def _write(self, send: Send, message: dict[str, Any], scope: Scope) -> None:
        """Send; a caller that takes nothing for long loses its connection."""
        try:
            async with asyncio.timeout(self._limits.write_seconds):
                await send(message)
        except TimeoutError:
            _log.info("a slow caller of %s is cut off", _shown(scope))
            _abort(scope)
            raise GoneError from None

    # --- web pages of other origins ---------------------------------------------------------------

    def _options(self, raw_path: str, headers: dict[str, str]) -> Reply:
        methods = ", ".join(self._router.allowed(raw_path))
        if headers.get("origin") not in self._origins:
            return Reply(status=204, media="", headers={"allow": methods})
        permitted = {
            "allow": methods,
            "access-control-allow-methods": methods,
            "access-control-allow-headers": "authorization, content-type, idempotency-key, "
            "last-event-id, flunq-tenant",
            "access-control-max-age": "600",
        }
        return Reply(status=204, media="", headers=permitted)

    def _cors_headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        if not self._origins:
            return []
        vary = (b"vary", b"origin")
        for name, value in scope["headers"]:
            if name == b"origin" and value.decode("latin-1") in self._origins:
                allowed = (b"access-control-allow-origin", value)
                return [allowed, (b"access-control-expose-headers", _EXPOSED), vary]
        return [vary]


def create_app(services: ApiServices, routes: Sequence[ApiRoute] | None = None) -> Api:
    """Return the application: every route that there is, or only those given."""
    if routes is None:
        from flunq.api.routes import all_routes

        routes = all_routes()
    return Api(services, routes)


def _query(route: ApiRoute, raw: bytes) -> Any:
    """Read the query as the route's struct."""
    try:
        pairs = parse_qsl(
            raw.decode("latin-1"), keep_blank_values=True, max_num_fields=100, errors="strict"
        )
    except (ValueError, UnicodeDecodeError) as error:
        raise UsageError(f"the query cannot be read: {error}") from error
    if route.query is None:
        if pairs:
            raise InvalidFieldError("this takes no query parameters", path=f"?{pairs[0][0]}")
        return None
    known = {field.name: field.encode_name for field in msgspec.structs.fields(route.query)}
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name not in known.values():
            raise InvalidFieldError(f"there is no query parameter {name!r}", path=f"?{name}")
        if name in members and not isinstance(members[name], list):
            members[name] = [members[name]]
        if name in members:
            members[name].append(value)
        else:
            members[name] = value
    return _converted(route.query, members)


def _converted(kind: type[msgspec.Struct], members: dict[str, Any]) -> Any:
    for name, annotation in kind.__annotations__.items():
        if "tuple[" in str(annotation) and isinstance(members.get(name), str):
            members[name] = [members[name]]
    try:
        return msgspec.convert(members, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid_field(error, within="?") from error


def _headers(media: str, headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    raw = [(b"x-content-type-options", b"nosniff")]
    if media:
        raw.append((b"content-type", media.encode()))
    raw += [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    return raw


def _shown(scope: Scope) -> str:
    """Return the path for the log, without what is secret in it."""
    path: str = scope["path"]
    return f"{LINKS}***" if path.startswith(LINKS) else path


def _abort(scope: Scope) -> None:
    """Cut the connection; what lies in its buffers is for nobody."""
    abort = scope.get("flunq.abort")
    if abort is not None:
        abort()


async def _wait_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
