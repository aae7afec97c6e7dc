from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.api.app import create_app
from flunq.api.contract import ApiRoute, Call, Reply, Streamed, json_reply
from flunq.api.limits import ApiLimits
from flunq.api.services import ApiSettings
from flunq.errors import NotFoundError, UnavailableError
from flunq.log.ports import OutcomeUnknownError
from flunq.services.control import Health
from tests.support.api import NamedTokens, calling, services

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Order(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    item: str
    count: int = 1


class Filter(msgspec.Struct, kw_only=True):
    limit: int = 20
    status: tuple[str, ...] = ()


async def echo(call: Call) -> Reply:
    return json_reply({"body": call.body, "query": call.query, **call.parameters})


async def one_line(call: Call) -> Streamed:
    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"{}\n"

    del call
    return Streamed(chunks=chunks(), media="application/x-ndjson")


def route(method: str = "GET", path: str = "/x/{name}", **more: Any) -> ApiRoute:
    more = {"endpoint": echo, "summary": "Echoes.", "name": "echo", **more}
    return ApiRoute(method=method, path=path, **more)  # type: ignore[arg-type]


def failing(error: Exception) -> ApiRoute:
    async def endpoint(call: Call) -> Reply:
        raise error

    return route(path="/broken", endpoint=endpoint)


async def test_a_process_that_runs_is_alive_even_when_it_cannot_work() -> None:
    health = Health()

    async def down() -> str | None:
        return "nats is gone"

    health.add("nats", down)
    async with calling(services(health=health), token="") as client:
        assert (await client.get("/livez")).status_code == 200
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["problems"]) == (503, {"nats": "nats is gone"})


async def test_it_is_ready_when_nothing_is_wrong() -> None:
    async with calling(services(), token="") as client:
        assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_metrics_are_in_the_text_format() -> None:
    async with calling(services(), token="") as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (NotFoundError("no such thing"), 404, {}),
        (UnavailableError("nobody answers"), 503, {"retry-after": "1"}),
        (OutcomeUnknownError("who knows"), 503, {"retry-after": "1"}),
    ],
)
async def test_errors_are_problem_details(
    error: Exception, status: int, headers: dict[str, str]
) -> None:
    async with calling(services(), failing(error)) as client:
        answer = await client.get("/broken")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert headers.items() <= dict(answer.headers).items()


async def test_a_defect_is_told_without_its_traceback() -> None:
    async with calling(services(), failing(ValueError("secret details"))) as client:
        answer = await client.get("/broken")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:flunq:error:internal")
    assert "secret" not in answer.text


async def test_what_lets_its_owner_answer_is_not_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(_: Call) -> Reply:
        raise ValueError

    route = ApiRoute(
        method="GET", path="/approvals/{link}", endpoint=broken, summary="", name="x", role=None
    )
    async with calling(services(), route) as client:
        assert (await client.get("/approvals/sTHE-LINK")).status_code == 500
    assert "/approvals/***" in caplog.text
    assert "THE-LINK" not in caplog.text


async def test_without_a_cluster_no_link_is_known_and_a_browser_gets_a_page() -> None:
    async with calling(services(), token="") as client:
        plain = await client.get("/approvals/sabc")
        page = await client.get("/approvals/sabc", headers={"accept": "text/html"})
    assert (plain.status_code, plain.json()["status"]) == (503, 503)
    assert (page.status_code, page.headers["retry-after"]) == (503, plain.headers["retry-after"])
    assert "<h1>" in page.text


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status"),
    [
        ("GET", "/nowhere", {}, b"", 404),
        ("GET", "/x/", {}, b"", 404),
        ("DELETE", "/x/a", {}, b"", 405),
        ("GET", "/x/a", {"accept": "image/png"}, b"", 406),
        ("POST", "/x/a", {"content-type": "text/xml"}, b"<a/>", 415),
        ("POST", "/x/a", {"content-encoding": "gzip"}, b"{}", 400),
        ("POST", "/x/a", {}, b'{"item": ', 400),
        ("POST", "/x/a", {}, b"\xff", 400),
        ("PUT", "/x/a", {}, b"[" * 100_000, 400),
        ("POST", "/x/a", {}, b'{"item": 5}', 422),
        ("POST", "/x/a", {}, b'{"item": "a", "colour": "red"}', 422),
        ("POST", "/x/a", {}, b'{"item": "' + b"a" * 2000 + b'"}', 413),
        ("GET", "/x/a?limit=many", {}, b"", 422),
        ("GET", "/x/a?colour=red", {}, b"", 422),
        ("GET", "/x/a?limit=%ff", {}, b"", 400),
        ("GET", "/x/" + "a" * 9000, {}, b"", 414),
        ("GET", "/x/a", {"x-long": "a" * 40_000}, b"", 431),
        ("GET", "/x/a", {"authorization": "Bearer nobody"}, b"", 401),
    ],
)
async def test_what_is_wrong_with_a_request_has_a_code_of_its_own(
    method: str, path: str, headers: dict[str, str], content: bytes, status: int
) -> None:
    settings = ApiSettings(limits=ApiLimits(body=1000))
    routes = (route(query=Filter), route("POST", body=Order), route("PUT", body=Any))
    if len(content) > 90_000:
        settings = ApiSettings()
    async with calling(services(settings=settings), *routes) as client:
        answer = await client.request(method, path, headers=headers, content=content)
    assert (answer.status_code, answer.json()["status"]) == (status, status), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_refused_method_names_those_that_are_there() -> None:
    async with calling(services(), route(), route("POST", body=Order)) as client:
        answer = await client.delete("/x/a")
    assert answer.headers["allow"] == "GET, HEAD, POST"


async def test_the_place_of_a_mistake_is_told() -> None:
    async with calling(services(), route("POST", body=Order)) as client:
        wrong = await client.post("/x/a", content=b'{"item": "a", "count": "b"}')
        broken = await client.post("/x/a", content=b'{"item": oops}')
        cut = await client.post("/x/a", content=b'{"item"')
    assert wrong.json()["path"] == "$.count"
    assert (broken.json()["byte"], cut.json()["byte"]) == (9, 7)


async def test_a_query_is_read_as_its_struct_says() -> None:
    async with calling(services(), route(query=Filter)) as client:
        answer = await client.get("/x/a?limit=5&status=running&status=faulted")
        single = await client.get("/x/a?status=running")
    assert answer.json()["query"] == {"limit": 5, "status": ["running", "faulted"]}
    assert single.json()["query"]["status"] == ["running"]


async def test_head_is_get_without_the_body() -> None:
    async with calling(services(), route()) as client:
        head, got = await client.head("/x/a"), await client.get("/x/a")
    assert (head.content, head.headers["content-length"]) == (b"", got.headers["content-length"])


@pytest.mark.parametrize(
    ("needed", "token", "status"),
    [
        ("viewer", "viewer", 200),
        ("operator", "viewer", 403),
        ("operator", "operator", 200),
        ("admin", "operator", 403),
        ("admin", "admin", 200),
        (None, "nobody", 200),
    ],
)
async def test_a_role_includes_the_ones_below(needed: Any, token: str, status: int) -> None:
    async with calling(services(), route(role=needed), token=token) as client:
        assert (await client.get("/x/a")).status_code == status


@pytest.mark.parametrize(
    ("token", "tenant", "status"),
    [
        ("viewer@blue", "blue", 200),
        ("admin@blue", "red", 403),
        ("operator@default", "red", 403),
        ("admin@default", "red", 200),
    ],
)
async def test_only_administrators_of_the_cluster_act_in_other_tenants(
    token: str, tenant: str, status: int
) -> None:
    async with calling(services(), route(), token=token) as client:
        answer = await client.get("/x/a", headers={"flunq-tenant": tenant})
    assert answer.status_code == status


async def test_every_write_is_recorded_with_its_result_and_no_read_is() -> None:
    gate = NamedTokens()
    routes = (route(), route("POST", body=Order, role="operator"))
    async with calling(services(gate), *routes, token="operator@blue") as client:
        await client.get("/x/a")
        await client.post("/x/b", content=b'{"item": "a"}')
        await client.post("/x/c", content=b"{}")
    async with calling(services(gate), *routes, token="viewer") as client:
        await client.post("/x/d", content=b'{"item": "a"}')
    assert gate.records == [
        ("operator echo", "b", "200", "blue"),
        ("operator echo", "c", "422", "blue"),
        ("viewer echo", "d", "403", None),
    ]


async def test_pages_of_other_origins_are_let_in_only_when_they_are_named() -> None:
    settings = ApiSettings(cors_origins=("https://shop.example",))
    async with calling(services(settings=settings), route()) as client:
        named = await client.get("/x/a", headers={"origin": "https://shop.example"})
        other = await client.get("/x/a", headers={"origin": "https://evil.example"})
        asked = await client.options("/x/a", headers={"origin": "https://shop.example"})
    assert named.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-origin" not in other.headers
    assert asked.headers["access-control-allow-methods"] == "GET, HEAD"
    assert "access-control-allow-credentials" not in named.headers


async def test_without_named_origins_there_is_no_word_of_them() -> None:
    async with calling(services(), route()) as client:
        answer = await client.options("/x/a", headers={"origin": "https://shop.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("name", ["authorization", "host", "flunq-tenant", "content-type"])
async def test_a_header_that_decides_something_comes_once(name: str) -> None:
    async with calling(services(), route()) as client:
        answer = await client.get("/x/a", headers=[(name, "a"), (name, "b")])
    assert answer.status_code == 400


async def test_a_request_with_two_lengths_is_refused() -> None:
    smuggled = {"content-length": "2", "transfer-encoding": "chunked"}
    async with calling(services(), route("POST", body=Order)) as client:
        answer = await client.post("/x/a", headers=smuggled, content=b"{}")
    assert answer.status_code == 400


async def test_a_body_that_never_ends_is_cut_by_the_clock() -> None:
    app = create_app(services(settings=ApiSettings(limits=ApiLimits(body_seconds=0.05))))
    sent: list[Any] = []
    parts = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> dict[str, Any]:
        if not parts:
            await asyncio.Event().wait()
        return parts.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    await app(_scope("POST", "/v1/executions"), receive, send)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_a_stream_is_sent_chunk_by_chunk_to_its_end() -> None:
    streaming = route(endpoint=one_line, media=("application/x-ndjson",))
    async with calling(services(), streaming) as client:
        answer = await client.get("/x/a")
    assert (answer.content, answer.headers["content-type"]) == (b"{}\n", "application/x-ndjson")


def _scope(method: str, path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer admin")],
        "client": ("127.0.0.1", 1),
    }
