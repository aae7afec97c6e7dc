"""What the HTTP and gRPC servers of the suite answer."""

from __future__ import annotations

import base64
import re
from hashlib import md5
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import msgspec

from tests.conformance.published import (
    AGENT_CARD,
    ASYNCAPI_2,
    ASYNCAPI_3,
    BROKER_DOCUMENT,
    OPENAPI,
    OTHER_PROTOCOLS,
    PROTO,
    PROTOCOL,
    SWAGGER,
)
from tests.support.grpc_stub import GrpcStub
from tests.support.http_stub import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.brokers import Broker
    from tests.support.http_stub import HttpStub, Request

PNG = b"\x89PNG\r\n"
YAML = {"content-type": "application/yaml"}
SHOWN = {"authorization", "content-type", "accept", "x-test", "x-key", "cookie", "idempotency-key"}
USER = "Basic " + base64.b64encode(b"ada:pw").decode()


def install(stub: HttpStub) -> None:
    """Give a server all its answers; every other path echoes the request."""
    for path, behaviour in _BEHAVIOURS.items():
        stub.answer(path, behaviour)
    for path, text in _DOCUMENTS.items():
        body = text.replace("http://stub.example", stub.url).replace("stub.example", stub.url[7:])
        stub.answer(path, Answer(body=body.encode(), headers=YAML))
    for path in ("/echo", "/v1/pets", "/v1/pets/7", "/v1/upload", "/shop/orders/9", "/news/in"):
        stub.answer(path, _echo)


def serve_broker_document(stub: HttpStub, ports: Broker, sockets: int) -> None:
    """Serve an AsyncAPI document that leads to a broker and a server of WebSockets."""
    text = BROKER_DOCUMENT.replace("NATS", str(ports.nats)).replace("MQTT", str(ports.mqtt))
    text = text.replace("WS", str(sockets))
    stub.answer("/broker.yaml", Answer(body=text.encode(), headers=YAML))


def grpc_server() -> GrpcStub:
    """Return a gRPC server that greets."""
    stub = GrpcStub(PROTO, "greet.Greeter")
    stub.answer("Hello", {"text": "hi"})
    stub.answer("Many", {"text": "one"}, {"text": "two"})
    stub.answer("Collect", {"text": "all"})
    stub.answer("Chat", {"text": "a"}, {"text": "b"})
    return stub


def described(request: Request) -> dict[str, Any]:
    """Return a request as the suite looks at it."""
    split = urlsplit(request.target)
    query = {name: v[0] if len(v) == 1 else v for name, v in parse_qs(split.query).items()}
    return {
        "method": request.method,
        "path": split.path,
        "query": query,
        "headers": {name: value for name, value in request.headers.items() if name in SHOWN},
        "body": _body(request),
    }


def _body(request: Request) -> Any:
    kind = request.headers.get("content-type", "")
    if not request.body:
        return None
    if "json" in kind:
        return request.json()
    if kind.startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(request.body.decode()))
    return request.body.decode("latin-1")


def _echo(request: Request) -> Answer:
    return Answer(json=described(request))


def _if_authorized(request: Request) -> Answer:
    if request.headers.get("authorization") in (USER, "Bearer abc"):
        return Answer(json={"user": "ada"})
    return Answer(401, json={"message": "who are you?"})


def _digest(request: Request) -> Answer:
    given = dict(re.findall(r'(\w+)="?([^",]+)"?', request.headers.get("authorization", "")))
    challenge = {"www-authenticate": 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'}
    if "response" not in given:
        return Answer(401, headers=challenge)
    secret = _md5("ada:r:pw")
    asked = _md5(f"{request.method}:{given['uri']}")
    wanted = _md5(f"{secret}:n:{given['nc']}:{given['cnonce']}:auth:{asked}")
    return Answer(json={"user": given["username"]}) if given["response"] == wanted else Answer(401)


def _md5(text: str) -> str:
    return md5(text.encode()).hexdigest()


def _token(_: Request) -> Answer:
    return Answer(json={"access_token": "abc", "token_type": "Bearer", "expires_in": 3600})


def _jwt(_: Request) -> Answer:
    """Issue a token that names its issuer."""
    parts = (b'{"alg":"none"}', b'{"iss":"http://issuer.example"}', b"x")
    token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    return Answer(json={"access_token": token, "token_type": "Bearer", "expires_in": 3600})


def _discovery(request: Request) -> Answer:
    issuer = f"http://{request.headers['host']}"
    return Answer(json={"issuer": issuer, "token_endpoint": f"{issuer}/oidc/token"})


def _rpc(request: Request) -> Answer:
    """Answer as an agent does: the result is what was asked."""
    asked = request.json()
    base = {"jsonrpc": "2.0", "id": asked.get("id")}
    parameters = asked.get("params", {})
    if parameters.get("id") == "unknown":
        return Answer(json={**base, "error": {"code": -32001, "message": "Task not found"}})
    result = {"method": asked["method"], "params": parameters}
    if asked["method"] in ("message/stream", "tasks/resubscribe"):
        parts = ({**base, "result": {"n": n, **result}} for n in (1, 2))
        chunks = tuple(b"data: " + msgspec.json.encode(part) + b"\n\n" for part in parts)
        return Answer(headers={"content-type": "text/event-stream"}, chunks=chunks)
    return Answer(json={**base, "result": result})


def _mcp(request: Request) -> Answer:
    """Answer as a server of tools does."""
    if request.method == "DELETE":
        return Answer(204)
    asked = request.json()
    base = {"jsonrpc": "2.0", "id": asked.get("id")}
    if asked["method"] == "initialize":
        version = asked["params"]["protocolVersion"]
        result = {
            "protocolVersion": version,
            "capabilities": {},
            "serverInfo": {"name": "t", "version": "1"},
        }
        return Answer(json={**base, "result": result}, headers={"mcp-session-id": "s1"})
    if "id" not in asked:
        return Answer(202)
    parameters = asked.get("params", {})
    if parameters.get("name") == "unknown":
        return Answer(json={**base, "error": {"code": -32602, "message": "Unknown tool"}})
    return Answer(json={**base, "result": {"method": asked["method"], "params": parameters}})


def _news(_: Request) -> Answer:
    """Stream four messages."""
    items = (b'data: {"n": %d}\n\n' % n for n in range(1, 5))
    return Answer(headers={"content-type": "text/event-stream"}, chunks=tuple(items))


def _status(status: int, **members: Any) -> Callable[[Request], Answer]:
    return lambda _: Answer(status, **members)


def _kind(kind: str, body: bytes) -> Callable[[Request], Answer]:
    return lambda _: Answer(headers={"content-type": kind}, body=body)


def _to(path: str) -> Callable[[Request], Answer]:
    return lambda _: Answer(302, headers={"location": path})


_BEHAVIOURS: dict[str, Callable[[Request], Answer]] = {
    "/status/201": _status(201, json={"made": True}),
    "/status/304": _status(304),
    "/status/400": _status(400),
    "/status/404": _status(404, json={"message": "no such thing"}),
    "/status/503": _status(503),
    "/moved": _to("/echo"),
    "/round": _to("/round"),
    "/v1/moved": _to("/v1/pets"),
    "/text": _kind("text/plain", b"plain"),
    "/png": _kind("image/png", PNG),
    "/json": _kind("application/json", b'{"a": [1, 2]}'),
    "/bad": _kind("application/json", b"{"),
    "/empty": _status(204),
    "/private": _if_authorized,
    "/digest": _digest,
    "/oauth2/token": _token,
    "/custom/token": _token,
    "/realms/a/oauth2/token": _token,
    "/oidc/token": _token,
    "/jwt/token": _jwt,
    "/.well-known/openid-configuration": _discovery,
    "/agent": _rpc,
    "/mcp": _mcp,
    "/news": _news,
    "/shop/news": _news,
    "/script.py": _kind("text/x-python", b"print('from the web')"),
}
_DOCUMENTS = {
    "/openapi.yaml": OPENAPI,
    "/swagger.yaml": SWAGGER,
    "/asyncapi.yaml": ASYNCAPI_3,
    "/asyncapi2.yaml": ASYNCAPI_2,
    "/agent-card.json": AGENT_CARD,
    "/greet.proto": PROTO,
    "/schema.json": '{"type": "object", "required": ["name"]}',
    "/functions/double.yaml": "{set: '${ {n: (.n * 2)} }'}",
    "/catalog/functions/triple/1.2.0/function.yaml": "{set: '${ {n: (.n * 3)} }'}",
} | {f"/{name}.yaml": PROTOCOL.replace("PROTOCOL", name) for name in OTHER_PROTOCOLS}
