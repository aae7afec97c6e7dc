"""``call: asyncapi``: documents, messages and subscriptions, over HTTP."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.engines.jq_process import JqPool
from flunq.sdk.context import ExecutorContext, ExecutorSettings
from flunq.sdk.egress import EgressPolicy
from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.testing import LOCAL, make_context, run_executor
from flunq_plugins.asyncapi import AsyncApiExecutor
from tests.support.http_stub import Answer, HttpStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

V3 = """
asyncapi: 3.0.0
info: {title: Shop, version: 1.0.0}
servers:
  main:
    host: '{host}:PORT'
    pathname: /{base}
    protocol: http
    variables: {host: {default: 127.0.0.1}, base: {default: shop, enum: [shop, test]}}
  other: {host: 127.0.0.1:1, protocol: nats}
channels:
  orders:
    address: orders/{id}
    parameters: {id: {location: $message.payload#/id}}
    servers: [{$ref: '#/servers/main'}]
    messages: {order: {$ref: '#/components/messages/order'}}
  news:
    address: news
    messages: {item: {payload: {type: object}, correlationId: {location: $message.header#/id}}}
operations:
  placeOrder: {action: receive, channel: {$ref: '#/channels/orders'}}
  readNews:
    action: send
    channel: {$ref: '#/channels/news'}
    messages: [{$ref: '#/channels/news/messages/item'}]
    bindings: {http: {method: PUT}}
components:
  messages:
    order:
      payload: {$ref: '#/components/schemas/order'}
      headers: {type: object, properties: {lang: {enum: [en, de]}}}
  schemas:
    order: {type: object, required: [id], properties: {id: {type: string}, sum: {type: number}}}
"""
V2 = """
asyncapi: 2.6.0
info: {title: Shop, version: 1.0.0}
servers:
  main:
    url: http://127.0.0.1:PORT/{base}
    protocol: http
    variables: {base: {default: shop}}
defaultContentType: application/json
channels:
  /orders/{id}:
    parameters: {id: {schema: {type: string, default: new}}}
    publish:
      operationId: placeOrder
      message:
        oneOf:
          - {payload: {type: object, required: [id]}}
          - {payload: {type: object, required: [gift]}, contentType: application/gift+json}
  /news:
    subscribe:
      message:
        payload: {type: object}
        traits: [{correlationId: {location: '$message.payload#/nr'}}]
"""


class Shop:
    """An HTTP server with its two documents."""

    def __init__(self, stub: HttpStub, folder: Path) -> None:
        self.stub = stub
        self._folder = folder
        self.v3 = self.document("v3.yaml", V3)
        self.v2 = self.document("v2.yaml", V2)

    def document(self, name: str, text: str) -> dict[str, Any]:
        path = self._folder / name
        path.write_text(text.replace("PORT", str(self.stub.port)))
        return {"endpoint": path.as_uri()}


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with HttpStub() as stub:
        yield Shop(stub, tmp_path)


async def call(arguments: dict[str, Any], **members: Any) -> Any:
    return await run_executor(AsyncApiExecutor(), arguments, **members)


async def fails(arguments: dict[str, Any], **members: Any) -> TaskError:
    with pytest.raises(TaskError) as caught:
        await call(arguments, **members)
    return caught.value


def order(document: dict[str, Any], message: Any = None, **changes: Any) -> dict[str, Any]:
    message = message or {"payload": {"id": "7"}}
    return {"document": document, "operation": "placeOrder", "message": message} | changes


def news(
    document: dict[str, Any], consume: dict[str, Any], *, filter: str = "", **changes: Any
) -> dict[str, Any]:
    texts: dict[str, Any] = {n: consume[n] for n in ("while", "until") if n in consume}
    rest = {name: value for name, value in consume.items() if name not in texts}
    if filter:
        texts["filter"] = filter
    wanted = {"document": document, "operation": "readNews", "subscription": {"consume": rest}}
    return wanted | {"expressions": texts, "variables": {}} | changes


def lines(*values: Any) -> Answer:
    return Answer(
        body=b"".join(msgspec.json.encode(value) + b"\n" for value in values),
        headers={"content-type": "application/x-ndjson", "retry-after": "0"},
    )


def numbers(*values: int) -> Answer:
    return lines(*({"n": value} for value in values))


def payloads(messages: list[dict[str, Any]]) -> list[Any]:
    return [message["payload"]["n"] for message in messages]


class TestPublishing:
    async def test_a_message_goes_to_the_channel_of_its_operation(self, shop: Shop) -> None:
        message = {"payload": {"id": "7", "sum": 1.5}, "headers": {"lang": "de", "n": 1}}
        output = await call(order(shop.v3, message), key="e:/do/0", traceparent="00-1-2-01")
        (request,) = shop.stub.requests
        assert (request.method, request.path) == ("POST", "/shop/orders/7")
        assert request.json() == {"id": "7", "sum": 1.5}
        wanted = {"content-type": "application/json", "lang": "de", "n": "1"}
        assert wanted.items() <= request.headers.items()
        assert (request.key, request.headers["traceparent"]) == ("e:/do/0", "00-1-2-01")
        assert output == message

    async def test_the_method_is_the_one_of_the_binding(self, shop: Shop) -> None:
        await call(order(shop.v3, operation="readNews") | {"message": {"payload": {}}})
        assert shop.stub.requests[0].method == "PUT"

    async def test_a_channel_of_version_2_is_called_by_its_name(self, shop: Shop) -> None:
        wanted = order(shop.v2, channel="/orders/{id}")
        del wanted["operation"]
        await call(wanted)
        assert shop.stub.requests[0].path == "/shop/orders/new"

    async def test_an_operation_of_version_2_is_found_by_its_id(self, shop: Shop) -> None:
        await call(order(shop.v2, server={"name": "main", "variables": {"base": "b", "id": "a b"}}))
        assert shop.stub.requests[0].path == "/b/orders/a%20b"

    async def test_one_of_several_messages_decides_about_the_content_type(self, shop: Shop) -> None:
        await call(order(shop.v2, {"payload": {"gift": True}}))
        assert shop.stub.requests[0].headers["content-type"] == "application/gift+json"

    @pytest.mark.parametrize(
        ("message", "reason"),
        [
            ({"payload": {"id": 7}}, "payload"),
            ({"payload": {}}, "id"),
            ({"payload": {"id": "7"}, "headers": {"lang": "fr"}}, "headers"),
            ({"payload": {"id": "7"}, "headers": {"lang": "de", "x": "a\r\nb: c"}}, "printable"),
            ({"payload": {"id": "7"}, "headers": []}, "headers"),
        ],
    )
    async def test_a_message_that_does_not_fit_is_not_sent(
        self, shop: Shop, message: Any, reason: str
    ) -> None:
        error = await fails(order(shop.v3, message))
        assert (error.type, error.status) == (ERRORS + "validation", 400)
        assert reason in str(error.detail)
        assert shop.stub.requests == []

    async def test_a_refusal_is_a_communication_error(self, shop: Shop) -> None:
        shop.stub.answer("/shop/orders/7", Answer(503, body=b"later"))
        error = await fails(order(shop.v3))
        assert (error.type, error.status) == (ERRORS + "communication", 503)
        assert "later" in str(error.detail)

    async def test_a_server_that_never_answers_meets_the_deadline(self, shop: Shop) -> None:
        shop.stub.answer("/shop/orders/7", Answer(hold=asyncio.Event()))
        deadline = int((time.time() + 0.5) * 1_000_000)
        error = await fails(order(shop.v3), deadline=deadline)
        assert (error.type, error.status) == (ERRORS + "timeout", 408)


class TestServers:
    async def test_variables_are_those_of_the_call(self, shop: Shop) -> None:
        await call(order(shop.v3, server={"name": "main", "variables": {"base": "test"}}))
        assert shop.stub.requests[0].path == "/test/orders/7"

    @pytest.mark.parametrize(
        "server",
        [
            {"name": "main", "variables": {"base": "third"}},
            {"name": "main", "variables": {"host": "evil.example/"}},
            {"name": "main", "variables": {"host": "a@b"}},
            {"name": "other"},
            {"name": "none"},
        ],
    )
    async def test_what_the_document_does_not_have_is_refused(
        self, shop: Shop, server: dict[str, Any]
    ) -> None:
        error = await fails(order(shop.v3, server=server))
        assert error.type == ERRORS + "validation"
        assert shop.stub.requests == []

    async def test_a_protocol_chooses_among_the_servers(self, shop: Shop) -> None:
        shop.stub.answer("/shop/news", numbers(1))
        assert await call(news(shop.v3, {"amount": 1}, protocol="http"))
        error = await fails(news(shop.v3, {"amount": 1}, protocol="nats"))
        assert (error.type, error.status) == (ERRORS + "communication", 503)
        assert "nats://127.0.0.1:1" in str(error.detail)

    async def test_a_protocol_that_nothing_speaks_is_a_configuration_error(
        self, shop: Shop
    ) -> None:
        document = shop.document("jms.yaml", V3.replace("protocol: http", "protocol: jms"))
        error = await fails(order(document))
        assert error.type == ERRORS + "configuration"
        assert "jms" in str(error.detail)

    async def test_link_local_addresses_are_refused(self, shop: Shop) -> None:
        server = {"name": "main", "variables": {"host": "169.254.169.254"}}
        error = await fails(order(shop.v3, server=server))
        assert (error.type, error.status) == (ERRORS + "authorization", 403)


class TestDocuments:
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (("asyncapi: 3.0.0", "asyncapi: 1.2.0"), "neither"),
            (("'#/components/messages/order'", "'#/components/messages/x'"), "nothing at"),
            (("'#/components/messages/order'", "'http://x.test/y'"), "leads out"),
            (("'#/components/schemas/order'", "'http://x.test/y'"), "not valid"),
            (("type: object, required: [id]", "type: thing"), "not valid"),
            (("address: orders/{id}", "address: null"), "no address"),
            (("location: $message.payload#/id", "description: none"), "no value"),
            (("'{host}:PORT'", "'http://h'"), "no host"),
        ],
    )
    async def test_what_makes_no_sense_is_a_validation_error(
        self, shop: Shop, change: tuple[str, str], reason: str
    ) -> None:
        assert change[0] in V3
        error = await fails(order(shop.document("bad.yaml", V3.replace(*change))))
        assert error.type == ERRORS + "validation"
        assert reason in str(error.detail)

    async def test_references_in_a_circle_are_refused(self, shop: Shop) -> None:
        text = V3.replace("'#/components/messages/order'", "'#/channels/orders/messages/order'")
        error = await fails(order(shop.document("circle.yaml", text)))
        assert "references" in str(error.detail)

    async def test_an_unknown_operation_is_answered_with_a_similar_one(self, shop: Shop) -> None:
        error = await fails(order(shop.v3, operation="placeOder"))
        assert "placeOrder" in str(error.detail)

    @pytest.mark.parametrize(
        "changes",
        [
            {"operation": None},
            {"channel": "orders"},
            {"operation": 1},
            {"message": None},
            {"message": []},
            {"server": "main"},
            {"document": {}},
        ],
    )
    async def test_arguments_of_the_wrong_shape_are_refused(
        self, shop: Shop, changes: dict[str, Any]
    ) -> None:
        error = await fails(order(shop.v3) | changes)
        assert error.type == ERRORS + "validation"


class TestAuthentication:
    @pytest.mark.parametrize(
        ("security", "policy", "header"),
        [
            ("", {"basic": {"username": "u", "password": "p"}}, ("authorization", "Basic dTpw")),
            ("", {"bearer": {"use": "token"}}, ("authorization", "Bearer s3cret")),
            (
                "security: [{type: httpApiKey, in: header, name: X-Key}]",
                {"bearer": {"token": "t"}},
                ("x-key", "t"),
            ),
            (
                "security: [{type: httpApiKey, in: cookie, name: key}]",
                {"bearer": {"token": "t"}},
                ("cookie", "key=t"),
            ),
        ],
    )
    async def test_a_policy_is_applied_as_the_document_wants_it(
        self, shop: Shop, security: str, policy: Any, header: tuple[str, str]
    ) -> None:
        text = V3.replace("    protocol: http", f"    protocol: http\n    {security}")
        document = shop.document("secure.yaml", text)
        context = make_context(secrets={"token": {"token": "s3cret"}})
        await call(order(document, authentication=policy), context=context)
        assert shop.stub.requests[0].headers[header[0]] == header[1]

    async def test_a_key_may_stand_in_the_query(self, shop: Shop) -> None:
        scheme = "security: [{type: httpApiKey, in: query, name: key}]"
        text = V3.replace("    protocol: http", f"    protocol: http\n    {scheme}")
        policy = {"bearer": {"token": "a b"}}
        await call(order(shop.document("secure.yaml", text), authentication=policy))
        assert shop.stub.requests[0].target == "/shop/orders/7?key=a+b"

    async def test_digest_answers_a_challenge(self, shop: Shop) -> None:
        challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'
        refusal = Answer(401, headers={"www-authenticate": challenge})
        shop.stub.answer("/shop/orders/7", refusal, Answer())
        policy = {"digest": {"username": "u", "password": "p"}}
        await call(order(shop.v3, authentication=policy))
        assert shop.stub.requests[1].headers["authorization"].startswith("Digest ")


class TestConsuming:
    async def test_an_amount_of_messages_is_an_array_in_order(self, shop: Shop) -> None:
        shop.stub.answer("/shop/news", numbers(1, 2, 3))
        messages = await call(news(shop.v3, {"amount": 2}))
        assert payloads(messages) == [1, 2]
        assert messages[0] == {"payload": {"n": 1}, "headers": {}}

    async def test_no_message_at_all_is_an_empty_array(self, shop: Shop) -> None:
        assert await call(news(shop.v3, {"amount": 0})) == []

    async def test_a_filter_decides_which_messages_count(self, shop: Shop) -> None:
        shop.stub.answer("/shop/news", numbers(1, 2, 3, 4, 5))
        wanted = news(shop.v3, {"amount": 2}, filter="${ .payload.n > $least }")
        assert payloads(await call(wanted | {"variables": {"least": 2}})) == [3, 4]

    async def test_while_is_asked_after_each_message(self, shop: Shop) -> None:
        shop.stub.answer("/shop/news", numbers(1, 2, 3))
        messages = await call(news(shop.v3, {"while": "${ length < 2 }"}))
        assert payloads(messages) == [1, 2]
        assert payloads(await call(news(shop.v3, {"while": "${ false }"}))) == [1]

    async def test_until_is_asked_before_each_message(self, shop: Shop) -> None:
        shop.stub.answer("/shop/news", numbers(1, 2, 3))
        messages = await call(news(shop.v3, {"until": "${ length == 2 }"}))
        assert payloads(messages) == [1, 2]
        assert await call(news(shop.v3, {"until": "${ true }"})) == []

    async def test_the_time_ends_it_with_what_came(self, shop: Shop) -> None:
        body = b'{"n":1}\n'
        shop.stub.answer(
            "/shop/news",
            Answer(body=body, headers={"content-type": "application/x-ndjson"}),
            Answer(hold=asyncio.Event()),
        )
        wanted = news(shop.v3, {"amount": 5, "for": {"milliseconds": 1500}})
        assert payloads(await call(wanted)) == [1]

    async def test_the_deadline_of_the_task_is_a_timeout(self, shop: Shop) -> None:
        shop.stub.answer("/shop/news", Answer(hold=asyncio.Event()))
        wanted = news(shop.v3, {"amount": 5, "for": "PT1M"})
        error = await fails(wanted, deadline=int((time.time() + 0.5) * 1_000_000))
        assert (error.type, error.status) == (ERRORS + "timeout", 408)

    async def test_the_engine_evaluates_what_is_no_everyday_expression(self, shop: Shop) -> None:
        shop.stub.answer("/shop/news", numbers(1, 2, 3))
        text = "${ [limit(2; repeat(.payload.n))] == [2, 2] }"
        async with JqPool(size=1) as engine:
            context = ExecutorContext(LOCAL, engine=engine)
            found = await call(news(shop.v3, {"amount": 1}, filter=text), context=context)
        assert payloads(found) == [2]

    @pytest.mark.parametrize("text", ["${ .payload | foo( }", "${ $nobody }", "${ .payload.n.x }"])
    async def test_an_expression_that_fails_fails_the_task(self, shop: Shop, text: str) -> None:
        shop.stub.answer("/shop/news", numbers(1))
        error = await fails(news(shop.v3, {"amount": 1}, filter=text))
        assert (error.type, error.status) == (ERRORS + "expression", 400)

    async def test_more_than_the_limit_is_an_error(self, shop: Shop) -> None:
        shop.stub.answer("/shop/news", numbers(*range(100)))
        settings = ExecutorSettings(
            egress=EgressPolicy.development(), programs=True, max_body=20_000
        )
        error = await fails(news(shop.v3, {"amount": 10_000}), context=make_context(settings))
        assert (error.type, error.status) == (ERRORS + "communication", 502)


class TestHttpFeeds:
    async def test_server_sent_events_are_messages(self, shop: Shop) -> None:
        body = b'id: 4\nevent: news\ndata: {"n": 1}\n\ndata: {"n": 2}\n\n'
        shop.stub.answer(
            "/shop/news", Answer(body=body, headers={"content-type": "text/event-stream"})
        )
        messages = await call(news(shop.v3, {"amount": 2}))
        assert messages[0]["headers"] == {"event": "news", "id": "4"}
        assert messages[0]["correlationId"] == "4"
        assert payloads(messages) == [1, 2]

    async def test_a_stream_that_ends_is_continued_after_the_last_event(self, shop: Shop) -> None:
        events = {"content-type": "text/event-stream"}
        shop.stub.answer(
            "/shop/news",
            Answer(body=b'id: 9\ndata: {"n": 1}\n\n', headers=events | {"retry-after": "0"}),
            Answer(body=b'data: {"n": 2}\n\n', headers=events),
        )
        assert payloads(await call(news(shop.v3, {"amount": 2}))) == [1, 2]
        assert shop.stub.requests[1].headers["last-event-id"] == "9"

    async def test_anything_else_is_asked_for_again_and_again(self, shop: Shop) -> None:
        shop.stub.answer(
            "/shop/news",
            Answer(json={"n": 1}, headers={"etag": '"1"', "retry-after": "0"}),
            Answer(304, headers={"retry-after": "0"}),
            Answer(204, headers={"retry-after": "0"}),
            Answer(json={"n": 2}),
        )
        assert payloads(await call(news(shop.v3, {"amount": 2}))) == [1, 2]
        assert shop.stub.requests[1].headers["if-none-match"] == '"1"'

    async def test_traits_tell_where_the_correlation_id_is(self, shop: Shop) -> None:
        shop.stub.answer("/shop/news", lines({"n": 1, "nr": 12}))
        wanted = news(shop.v2, {"amount": 1}, channel="/news", operation=None)
        (message,) = await call(wanted)
        assert message["correlationId"] == "12"

    async def test_a_refusal_is_a_communication_error(self, shop: Shop) -> None:
        shop.stub.answer("/shop/news", Answer(404))
        error = await fails(news(shop.v3, {"amount": 1}))
        assert (error.type, error.status) == (ERRORS + "communication", 404)

    async def test_an_endless_line_is_an_error(self, shop: Shop) -> None:
        headers = {"content-type": "application/x-ndjson"}
        shop.stub.answer("/shop/news", Answer(chunks=(b"x" * 50_000,) * 10, headers=headers))
        settings = ExecutorSettings(
            egress=EgressPolicy.development(), programs=True, max_body=100_000
        )
        error = await fails(news(shop.v3, {"amount": 1}), context=make_context(settings))
        assert (error.type, error.status) == (ERRORS + "communication", 502)
