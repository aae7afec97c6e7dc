from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import time
import zlib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.sdk.context import ExecutorContext, ExecutorSettings, TaskContext
from flunq.sdk.egress import EgressPolicy
from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.registry import load_executor
from flunq.sdk.testing import LOCAL, make_call, make_context
from flunq_plugins.http import HttpExecutor
from tests.support.http_stub import Answer, HttpStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def stub() -> AsyncIterator[HttpStub]:
    async with HttpStub() as stub:
        yield stub


_OF_THE_CALL = {"deadline", "traceparent", "key"}


class Caller:
    """Calls one executor again and again, as a pool does."""

    def __init__(self) -> None:
        self.executor = HttpExecutor()
        self.context = make_context(
            secrets={"login": {"username": "ada", "password": "pw"}, "api": {"token": "t-1"}}
        )

    async def __call__(self, endpoint: Any, method: str = "get", **members: Any) -> Any:
        changes = {
            name: members.pop(name)
            for name in ("deadline", "traceparent", "key")
            if name in members
        }
        arguments = {"method": method, "endpoint": endpoint} | members
        return await self.executor.execute(
            make_call(arguments, kind="http", **changes), TaskContext(self.context)
        )

    async def fails(self, endpoint: Any, method: str = "get", **members: Any) -> TaskError:
        with pytest.raises(TaskError) as caught:
            await self(endpoint, method, **members)
        return caught.value

    def limited(self, **settings: Any) -> Caller:
        limits = msgspec.structs.replace(LOCAL, **settings)
        self.context.close()
        self.context = ExecutorContext(limits, secrets=self.context.secrets)
        return self


@pytest.fixture
async def call() -> AsyncIterator[Caller]:
    caller = Caller()
    await caller.executor.start(caller.context)
    yield caller
    await caller.executor.aclose()
    caller.context.close()


def test_it_is_installed_like_a_strangers_plugin() -> None:
    assert load_executor("http") is HttpExecutor


class TestRequest:
    @pytest.mark.parametrize("method", ["GET", "post", "Put", "PATCH", "delete", "OPTIONS"])
    async def test_any_method_is_sent_in_upper_case(
        self, call: Caller, stub: HttpStub, method: str
    ) -> None:
        assert await call(stub.url + "/a", method) == {"method": method.upper(), "target": "/a"}

    async def test_a_value_is_sent_as_json(self, call: Caller, stub: HttpStub) -> None:
        await call(stub.url, "post", body={"é": [1, None, True]})
        request = stub.requests[0]
        assert request.json() == {"é": [1, None, True]}
        assert request.headers["content-type"] == "application/json"

    async def test_a_text_is_sent_as_it_is(self, call: Caller, stub: HttpStub) -> None:
        await call(stub.url, "post", body="<a/>", headers={"Content-Type": "application/xml"})
        await call(stub.url, "post", body="plain")
        assert [r.body for r in stub.requests] == [b"<a/>", b"plain"]
        assert [r.headers["content-type"] for r in stub.requests] == [
            "application/xml",
            "text/plain; charset=utf-8",
        ]

    async def test_an_object_can_be_sent_as_a_form(self, call: Caller, stub: HttpStub) -> None:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        await call(stub.url, "post", headers=form, body={"a": "x y", "b": ["1", "2"]})
        assert stub.requests[0].body == b"a=x+y&b=1&b=2"

    async def test_an_object_can_be_sent_in_parts(self, call: Caller, stub: HttpStub) -> None:
        headers = {"Content-Type": "multipart/form-data"}
        await call(stub.url, "post", headers=headers, body={"a": "x", "b": {"c": 1}})
        request = stub.requests[0]
        boundary = request.headers["content-type"].removeprefix("multipart/form-data; boundary=")
        assert request.body.count(boundary.encode()) == 3
        assert b'name="b"\r\nContent-Type: application/json\r\n\r\n{"c":1}\r\n' in request.body

    async def test_a_binary_body_is_given_as_base64(self, call: Caller, stub: HttpStub) -> None:
        png = {"Content-Type": "image/png"}
        await call(stub.url, "post", headers=png, body="iVBORw==")
        assert stub.requests[0].body == b"\x89PNG"
        error = await call.fails(stub.url, "post", headers=png, body="not base64")
        assert (error.type, error.status) == (f"{ERRORS}validation", 400)

    async def test_without_a_body_a_post_says_so(self, call: Caller, stub: HttpStub) -> None:
        await call(stub.url, "post")
        assert stub.requests[0].headers["content-length"] == "0"
        assert "content-type" not in stub.requests[0].headers

    @pytest.mark.parametrize(
        ("path", "query", "target"),
        [
            ("/s", {"q": "a b&c", "n": 5, "yes": True}, "/s?q=a%20b%26c&n=5&yes=true"),
            ("/s?x=1", {"y": ["2", "3"]}, "/s?x=1&y=2&y=3"),
            ("/s", {"none": None}, "/s"),
            ("/s?x=%20#top", None, "/s?x=%20"),
            ("/ä/%C3%A4", None, "/%C3%A4/%C3%A4"),
        ],
    )
    async def test_the_query_is_added_and_escaped(
        self, call: Caller, stub: HttpStub, path: str, query: Any, target: str
    ) -> None:
        await call(stub.url + path, query=query)
        assert stub.requests[0].target.replace("+", "%20") == target

    async def test_each_attempt_carries_the_idempotency_key(
        self, call: Caller, stub: HttpStub
    ) -> None:
        await call(stub.url, "post", key="k1")
        await call(stub.url, "post", key="k1")
        await call(stub.url, "post", key="k1", headers={"idempotency-KEY": "mine"})
        assert stub.ledger == {"k1": 2, "mine": 1}

    async def test_a_key_with_any_task_name_fits_a_header(
        self, call: Caller, stub: HttpStub
    ) -> None:
        await call(stub.url, "post", key="e1:/do/0/b\u00fccher\nkaufen")
        assert stub.ledger == {"e1:/do/0/b%C3%BCcher%0Akaufen": 1}

    async def test_headers_are_passed_on(self, call: Caller, stub: HttpStub) -> None:
        headers = {"X-A": "1", "user-agent": "me", "Host": "example.org", "Content-Length": "9"}
        await call(stub.url, headers=headers, traceparent="00-1-2-01")
        sent = stub.requests[0].headers
        assert (sent["x-a"], sent["user-agent"], sent["host"]) == ("1", "me", "example.org")
        assert (sent["traceparent"], sent.get("content-length")) == ("00-1-2-01", None)

    @pytest.mark.parametrize(
        "headers", [{"X-A": "1\r\nEvil: 2"}, {"X\nA": "1"}, {"": "x"}, {"X A": "1"}]
    )
    async def test_a_header_cannot_smuggle_another(
        self, call: Caller, stub: HttpStub, headers: dict[str, str]
    ) -> None:
        error = await call.fails(stub.url, headers=headers)
        assert (error.type, error.status) == (f"{ERRORS}validation", 400)
        assert stub.requests == []

    @pytest.mark.parametrize(
        "members",
        [
            {"endpoint": "not a uri"},
            {"endpoint": "ftp://example.org/"},
            {"endpoint": "http://"},
            {"endpoint": "http://[::1"},
            {"endpoint": 5},
            {"endpoint": {"uri": None}},
            {"endpoint": "http://127.0.0.1", "headers": ["a"]},
            {"endpoint": "http://127.0.0.1", "query": "a=b"},
            {"endpoint": "http://127.0.0.1", "output": "all"},
            {"endpoint": "http://127.0.0.1", "method": ""},
        ],
    )
    async def test_a_malformed_call_is_a_validation_error(
        self, call: Caller, members: dict[str, Any]
    ) -> None:
        error = await call.fails(**members)
        assert (error.type, error.status) == (f"{ERRORS}validation", 400)


class TestOutput:
    @pytest.mark.parametrize(
        ("content_type", "body", "content"),
        [
            ("application/json", b'{"a":1}', {"a": 1}),
            ("application/problem+json; charset=utf-8", b"[1]", [1]),
            ("application/json", b"not json", "not json"),
            ("text/plain", b"hello", "hello"),
            ("text/plain; charset=latin-1", b"\xe9", "é"),
            ("text/plain; charset=nonsense", b"a", "YQ=="),
            ("application/xml", b"<a/>", "<a/>"),
            ("image/png", b"\x89PNG", base64.b64encode(b"\x89PNG").decode()),
            ("application/octet-stream", b"abc", "YWJj"),
            ("", b'{"a":1}', {"a": 1}),
            ("", b"\xff", "/w=="),
            ("application/json", b"", None),
        ],
    )
    async def test_content_follows_the_content_type(
        self, call: Caller, stub: HttpStub, content_type: str, body: bytes, content: Any
    ) -> None:
        headers = {"content-type": content_type} if content_type else {}
        url = stub.answer("/c", Answer(body=body, headers=headers))
        assert await call(url) == content

    async def test_raw_is_base64_whatever_it_is(self, call: Caller, stub: HttpStub) -> None:
        url = stub.answer("/r", Answer(json={"a": 1}))
        assert await call(url, output="raw") == base64.b64encode(b'{"a":1}').decode()

    async def test_response_tells_everything(self, call: Caller, stub: HttpStub) -> None:
        url = stub.answer("/r", Answer(201, json=[1], headers={"X-Id": "7"}))
        response = await call(url, "post", output="response", body=1)
        assert (response["statusCode"], response["content"]) == (201, [1])
        assert response["headers"]["x-id"] == "7"
        assert (response["request"]["method"], response["request"]["uri"]) == ("POST", url)
        assert response["request"]["headers"]["content-type"] == "application/json"

    async def test_a_head_request_has_no_content(self, call: Caller, stub: HttpStub) -> None:
        url = stub.answer("/h", Answer(content_length=10))
        assert await call(url, "head") is None

    async def test_a_chunked_body_is_put_together(self, call: Caller, stub: HttpStub) -> None:
        url = stub.answer("/k", Answer(chunks=(b'{"a"', b":", b"1}")))
        assert await call(url) == {"a": 1}

    async def test_a_body_may_end_with_the_connection(self, call: Caller, stub: HttpStub) -> None:
        url = stub.answer("/g", Answer(json=[1], headers={"connection": "close"}))
        assert await call(url) == [1]
        assert await call(url) == [1]

    @pytest.mark.parametrize("status", [400, 401, 404, 500, 503, 302, 304])
    async def test_an_error_status_is_a_communication_error(
        self, call: Caller, stub: HttpStub, status: int
    ) -> None:
        error = await call.fails(stub.answer("/e", Answer(status, body=b"sorry")) + "?token=x")
        assert (error.type, error.status) == (f"{ERRORS}communication", status)
        assert f"GET {stub.url}/e answered {status}" in (error.detail or "")
        assert "token" not in (error.detail or "")

    async def test_the_beginning_of_an_error_body_is_quoted(
        self, call: Caller, stub: HttpStub
    ) -> None:
        error = await call.fails(stub.answer("/e", Answer(422, body=b"why " * 1000)))
        assert "why why" in (error.detail or "")
        assert len(error.detail or "") < 500


class TestRedirect:
    async def test_without_redirect_nothing_is_followed(self, call: Caller, stub: HttpStub) -> None:
        error = await call.fails(stub.answer("/r", Answer(302, headers={"location": "/there"})))
        assert (error.status, len(stub.requests)) == (302, 1)

    async def test_with_redirect_it_is_followed(self, call: Caller, stub: HttpStub) -> None:
        url = stub.answer("/r", Answer(302, headers={"location": "/there?x=1"}))
        assert await call(url, redirect=True) == {"method": "GET", "target": "/there?x=1"}

    @pytest.mark.parametrize(
        ("status", "method", "sent"),
        [
            (301, "POST", ("GET", b"")),
            (302, "POST", ("GET", b"")),
            (303, "PUT", ("GET", b"")),
            (307, "POST", ("POST", b"1")),
            (308, "PUT", ("PUT", b"1")),
        ],
    )
    async def test_the_method_follows_the_rules(
        self, call: Caller, stub: HttpStub, status: int, method: str, sent: tuple[str, bytes]
    ) -> None:
        url = stub.answer("/r", Answer(status, headers={"location": stub.url + "/there"}))
        await call(url, method, body=1, redirect=True)
        assert (stub.requests[1].method, stub.requests[1].body) == sent

    async def test_a_redirect_without_a_place_is_handed_over(
        self, call: Caller, stub: HttpStub
    ) -> None:
        response = await call(stub.answer("/r", Answer(304)), redirect=True, output="response")
        assert response["statusCode"] == 304

    async def test_a_circle_ends(self, call: Caller, stub: HttpStub) -> None:
        url = stub.answer("/r", Answer(302, headers={"location": "/r"}))
        error = await call.fails(url, redirect=True)
        assert (error.status, len(stub.requests)) == (502, 11)

    @pytest.mark.parametrize("location", ["file:///etc/passwd", "gopher://x/", "http://[::"])
    async def test_it_leads_to_http_only(self, call: Caller, stub: HttpStub, location: str) -> None:
        url = stub.answer("/r", Answer(302, headers={"location": location}))
        assert (await call.fails(url, redirect=True)).status == 502

    async def test_credentials_stay_with_their_server(self, call: Caller, stub: HttpStub) -> None:
        async with HttpStub() as other:
            url = stub.answer("/r", Answer(307, headers={"location": other.url + "/x"}))
            endpoint = {"uri": url, "authentication": {"bearer": {"token": "t"}}}
            await call(endpoint, "post", redirect=True, headers={"Cookie": "c=1", "X-A": "1"})
            assert stub.requests[0].headers["authorization"] == "Bearer t"
            assert other.requests[0].headers.keys() & {"authorization", "cookie"} == set()
            assert other.requests[0].headers["x-a"] == "1"

    async def test_the_policy_holds_for_each_hop(self, call: Caller, stub: HttpStub) -> None:
        metadata = "http://169.254.169.254/latest/"
        url = stub.answer("/r", Answer(302, headers={"location": metadata}))
        error = await call.fails(url, redirect=True)
        assert (error.type, error.status) == (f"{ERRORS}authorization", 403)


class TestAuthentication:
    @pytest.mark.parametrize(
        ("policy", "header"),
        [
            ({"basic": {"username": "ada", "password": "pw"}}, "Basic YWRhOnB3"),
            ({"basic": {"use": "login"}}, "Basic YWRhOnB3"),
            ({"bearer": {"token": "t-0"}}, "Bearer t-0"),
            ({"bearer": {"use": "api"}}, "Bearer t-1"),
        ],
    )
    async def test_a_policy_authorizes(
        self, call: Caller, stub: HttpStub, policy: Any, header: str
    ) -> None:
        endpoint = {"uri": stub.url, "authentication": policy}
        response = await call(endpoint, output="response")
        assert stub.requests[0].headers["authorization"] == header
        assert response["request"]["headers"]["authorization"] == "[redacted]"

    async def test_a_user_in_the_uri_is_used_and_not_shown(
        self, call: Caller, stub: HttpStub
    ) -> None:
        url = stub.url.replace("//", "//ada:pw@") + "/u"
        response = await call(url, output="response")
        assert stub.requests[0].headers["authorization"] == "Basic YWRhOnB3"
        assert response["request"]["uri"] == stub.url + "/u"

    async def test_digest_answers_the_challenge(self, call: Caller, stub: HttpStub) -> None:
        challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'
        refusal = Answer(401, headers={"www-authenticate": challenge})
        url = stub.answer("/d", refusal, Answer(json="in"))
        policy = {"digest": {"username": "ada", "password": "pw"}}
        assert await call({"uri": url, "authentication": policy}, "post", body=1) == "in"
        first, second = stub.requests
        assert ("authorization" in first.headers, second.body) == (False, b"1")
        assert second.headers["authorization"].startswith('Digest username="ada", realm="r"')
        assert first.key == second.key

    async def test_a_refused_login_has_status_401(self, call: Caller, stub: HttpStub) -> None:
        url = stub.answer("/d", Answer(401))
        policy = {"basic": {"username": "ada", "password": "no"}}
        error = await call.fails({"uri": url, "authentication": policy})
        assert (error.type, error.status) == (f"{ERRORS}communication", 401)

    @pytest.mark.parametrize("policy", [{"oauth2": {}}, {"oidc": {}}, {"use": "x"}, {}, "basic"])
    async def test_another_policy_is_a_configuration_error(
        self, call: Caller, stub: HttpStub, policy: Any
    ) -> None:
        error = await call.fails({"uri": stub.url, "authentication": policy})
        assert (error.type, error.status) == (f"{ERRORS}configuration", 400)
        assert stub.requests == []

    async def test_a_token_is_fetched_and_used_for_all_calls(
        self, call: Caller, stub: HttpStub
    ) -> None:
        stub.answer("/oauth2/token", Answer(json={"access_token": "a-1"}))
        client = {"id": "me", "secret": "s"}
        policy = {"authority": stub.url, "grant": "client_credentials", "client": client}
        endpoint = {"uri": stub.url + "/x", "authentication": {"oauth2": policy}}
        responses = [await call(endpoint, output="response") for _ in range(3)]
        assert [request.path for request in stub.requests] == ["/oauth2/token", *["/x"] * 3]
        assert stub.requests[-1].headers["authorization"] == "Bearer a-1"
        assert "a-1" not in str(responses)

    async def test_a_token_that_is_not_granted_is_an_authentication_error(
        self, call: Caller, stub: HttpStub
    ) -> None:
        stub.answer("/oauth2/token", Answer(400, json={"error": "invalid_scope"}))
        policy = {"authority": stub.url, "grant": "client_credentials"}
        error = await call.fails({"uri": stub.url, "authentication": {"oauth2": policy}})
        assert (error.type, error.status) == (f"{ERRORS}authentication", 401)
        assert "invalid_scope" in (error.detail or "")

    async def test_an_unknown_secret_is_an_authorization_error(
        self, call: Caller, stub: HttpStub
    ) -> None:
        policy = {"basic": {"use": "nobody-knows"}}
        error = await call.fails({"uri": stub.url, "authentication": policy})
        assert (error.type, error.status) == (f"{ERRORS}authorization", 403)


class TestLimits:
    async def test_a_body_announced_too_large_is_not_read(
        self, call: Caller, stub: HttpStub
    ) -> None:
        url = stub.answer("/b", Answer(drip=True, body=b"x", content_length=1001))
        error = await call.limited(max_body=1000).fails(url)
        assert "larger than 1000 bytes" in (error.detail or "")

    async def test_a_body_without_length_is_cut_off(self, call: Caller, stub: HttpStub) -> None:
        url = stub.answer("/b", Answer(chunks=(b"x" * 600, b"x" * 600)))
        error = await call.limited(max_body=1000).fails(url)
        assert (error.type, error.status) == (f"{ERRORS}communication", 502)

    async def test_a_compressed_body_is_unpacked(self, call: Caller, stub: HttpStub) -> None:
        url = stub.answer("/z", Answer(json={"a": "x" * 5000}, compress=True))
        assert await call(url) == {"a": "x" * 5000}

    @pytest.mark.parametrize("wbits", [zlib.MAX_WBITS, -zlib.MAX_WBITS])
    async def test_deflate_comes_in_two_ways(
        self, call: Caller, stub: HttpStub, wbits: int
    ) -> None:
        squeeze = zlib.compressobj(wbits=wbits)
        body = squeeze.compress(b'"hello"') + squeeze.flush()
        url = stub.answer("/z", Answer(body=body, headers={"content-encoding": "deflate"}))
        assert await call(url) == "hello"

    async def test_a_decompression_bomb_does_not_go_off(self, call: Caller, stub: HttpStub) -> None:
        bomb = gzip.compress(b"\0" * 50_000_000)
        url = stub.answer("/z", Answer(body=bomb, headers={"content-encoding": "gzip"}))
        error = await call.limited(max_body=100_000).fails(url)
        assert "larger than 100000 bytes" in (error.detail or "")

    @pytest.mark.parametrize(
        ("encoding", "body"), [("br", b"x"), ("gzip", b"not gzip"), ("gzip, gzip, gzip", b"x")]
    )
    async def test_a_damaged_or_strange_encoding_is_an_error(
        self, call: Caller, stub: HttpStub, encoding: str, body: bytes
    ) -> None:
        url = stub.answer("/z", Answer(body=body, headers={"content-encoding": encoding}))
        assert (await call.fails(url)).status == 502

    async def test_the_whole_response_has_a_time_limit(self, call: Caller, stub: HttpStub) -> None:
        url = stub.answer("/t", Answer(drip=True, json="slow"))
        error = await call.limited(request_timeout=0.05).fails(url)
        assert (error.type, error.status) == (f"{ERRORS}communication", 504)

    async def test_the_deadline_of_the_task_comes_first(self, call: Caller, stub: HttpStub) -> None:
        url = stub.answer("/t", Answer(hold=asyncio.Event()))
        error = await call.fails(url, deadline=time.time_ns() // 1000 + 50_000)
        assert (error.type, error.status) == (f"{ERRORS}timeout", 408)


class TestHostile:
    """Servers that never come to an end."""

    @pytest.fixture
    async def endless(self) -> AsyncIterator[Endless]:
        async with Endless() as server:
            yield server

    @pytest.mark.parametrize(
        ("head", "again"),
        [
            (b"HTTP/1.1 200 OK\r\n", b"x-more: " + b"y" * 1000 + b"\r\n"),
            (b"HTTP/1.1 200 OK\r\nx-long: ", b"y" * 1000),
            (b"HTTP/1.1 200 ", b"O" * 1000),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;a=", b"b" * 1000),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"t: x\r\n" * 99),
        ],
    )
    async def test_endless_headers_are_cut_off(
        self, call: Caller, endless: Endless, head: bytes, again: bytes
    ) -> None:
        endless.script = head, again
        error = await call.fails(endless.url)
        assert (error.type, error.status) == (f"{ERRORS}communication", 502)
        assert endless.sent < 8 * 1024 * 1024

    @pytest.mark.parametrize("chunk", [b"1\r\nx\r\n" * 500, b"8000\r\n" + b"x" * 32768 + b"\r\n"])
    async def test_an_endless_body_is_cut_off(
        self, call: Caller, endless: Endless, chunk: bytes
    ) -> None:
        endless.script = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", chunk
        error = await call.limited(max_body=200_000).fails(endless.url)
        assert "larger than 200000 bytes" in (error.detail or "")
        assert endless.sent < 16 * 1024 * 1024

    async def test_a_body_that_ends_with_the_connection_is_cut_off(
        self, call: Caller, endless: Endless
    ) -> None:
        endless.script = b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536
        error = await call.limited(max_body=1_000_000).fails(endless.url)
        assert "larger than 1000000 bytes" in (error.detail or "")

    async def test_preliminary_responses_without_end_are_cut_off(
        self, call: Caller, endless: Endless
    ) -> None:
        endless.script = b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 103 x\r\n\r\n"
        error = await call.fails(endless.url)
        assert (error.type, error.status) == (f"{ERRORS}communication", 502)
        assert "too many preliminary responses" in (error.detail or "")

    async def test_small_parts_let_others_have_their_turn(
        self, call: Caller, endless: Endless, stub: HttpStub
    ) -> None:
        endless.script = (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            b"1\r\nx\r\n" * 10_000,
        )
        long = asyncio.create_task(call.fails(endless.url))
        await endless.asked.wait()
        for _ in range(5):
            await call(stub.url)
        assert not long.done()
        long.cancel()
        await asyncio.wait([long])

    @pytest.mark.parametrize(
        "body", [b"[" * 100_000, b'{"a":' * 100_000, b"1e999", b"NaN", b'"\\ud800"']
    )
    async def test_json_that_cannot_be_a_value_is_a_text(
        self, call: Caller, stub: HttpStub, body: bytes
    ) -> None:
        json = {"content-type": "application/json"}
        assert await call(stub.answer("/j", Answer(body=body, headers=json))) == body.decode()

    async def test_a_bomb_within_a_bomb_does_not_go_off(self, call: Caller, stub: HttpStub) -> None:
        bomb = gzip.compress(gzip.compress(b"\0" * 100_000_000))
        url = stub.answer("/z", Answer(body=bomb, headers={"content-encoding": "gzip, gzip"}))
        error = await call.limited(max_body=1_000_000).fails(url)
        assert "larger than 1000000 bytes" in (error.detail or "")

    async def test_two_encodings_are_undone_in_reverse(self, call: Caller, stub: HttpStub) -> None:
        body = gzip.compress(zlib.compress(b'"hello"'))
        url = stub.answer("/z", Answer(body=body, headers={"content-encoding": "deflate, gzip"}))
        assert await call(url) == "hello"

    async def test_a_compressed_body_cut_short_is_damaged(
        self, call: Caller, stub: HttpStub
    ) -> None:
        body = gzip.compress(b"x" * 1000)[:-10]
        url = stub.answer("/z", Answer(body=body, headers={"content-encoding": "gzip"}))
        assert "it ends too early" in ((await call.fails(url)).detail or "")


class Endless:
    """A server that begins a response and repeats something until nobody listens."""

    def __init__(self) -> None:
        self.script = (b"", b"x")
        self.asked = asyncio.Event()
        self.sent = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Endless:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        head, again = self.script
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            self.asked.set()
            writer.write(head)
            while not writer.is_closing():
                writer.write(again)
                await writer.drain()
                await asyncio.sleep(0)
                self.sent += len(again)
        writer.close()


class TestConnections:
    async def test_they_are_used_again(self, call: Caller, stub: HttpStub) -> None:
        for _ in range(3):
            await call(stub.url)
        assert {request.connection for request in stub.requests} == {1}

    async def test_a_failed_exchange_is_not_used_again(self, call: Caller, stub: HttpStub) -> None:
        url = stub.answer("/t", Answer(drip=True, json="slow"), Answer(json=1))
        await call.limited(request_timeout=0.05).fails(url)
        assert await call(url) == 1
        assert [request.connection for request in stub.requests] == [1, 2]

    async def test_a_kept_one_that_was_closed_meanwhile_is_replaced(
        self, call: Caller, stub: HttpStub
    ) -> None:
        url = stub.answer("/a", Answer(json=1), Answer(hang_up=True), Answer(json=2))
        assert (await call(url, "post"), await call(url, "post")) == (1, 2)
        assert stub.requests[1].key == stub.requests[2].key

    async def test_a_server_that_hangs_up_is_a_communication_error(
        self, call: Caller, stub: HttpStub
    ) -> None:
        error = await call.fails(stub.answer("/a", Answer(hang_up=True)))
        assert (error.type, error.status) == (f"{ERRORS}communication", 502)
        assert "closed it without an answer" in (error.detail or "")

    async def test_a_body_cut_short_is_a_communication_error(
        self, call: Caller, stub: HttpStub
    ) -> None:
        cut = Answer(body=b"abc", content_length=10, headers={"connection": "close"})
        assert (await call.fails(stub.answer("/a", cut))).status == 502

    async def test_nobody_listening_says_where(self, call: Caller) -> None:
        async with HttpStub() as gone:
            url = gone.url
        error = await call.fails(url)
        assert (error.type, error.status) == (f"{ERRORS}communication", 503)
        assert url.removeprefix("http://") in (error.detail or "")

    async def test_an_unknown_name_says_so(self, call: Caller) -> None:
        error = await call.fails("http://no-such-host.invalid/")
        assert error.status == 503
        assert "cannot be resolved" in (error.detail or "")

    async def test_something_else_than_http_is_a_communication_error(self, call: Caller) -> None:
        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-OpenSSH\r\n")
            writer.close()

        async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            assert (await call.fails(f"http://127.0.0.1:{port}/")).status == 502

    async def test_many_calls_share_the_slots(self, call: Caller, stub: HttpStub) -> None:
        call.limited(max_connections=2)
        await asyncio.gather(*(call(f"{stub.url}/{number}") for number in range(10)))
        assert len(stub.requests) == 10
        assert {request.connection for request in stub.requests} == {1, 2}

    async def test_cookies_do_not_leak_into_other_calls(self, call: Caller, stub: HttpStub) -> None:
        url = stub.answer("/c", Answer(json=1, headers={"set-cookie": "session=1"}))
        await call(url)
        await call(url)
        assert "cookie" not in stub.requests[1].headers


class TestEgress:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433"])
    async def test_a_strict_policy_refuses_the_machine_itself(
        self, call: Caller, stub: HttpStub, host: str
    ) -> None:
        call.context = ExecutorContext(ExecutorSettings(egress=EgressPolicy()))
        error = await call.fails(f"http://{host}:{stub.port}/")
        assert (error.type, error.status) == (f"{ERRORS}authorization", 403)
        assert "FLUNQ_EGRESS" in (error.detail or "")
        assert stub.requests == []

    @pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
    async def test_link_local_is_refused_in_development_too(self, call: Caller, host: str) -> None:
        assert (await call.fails(f"http://{host}/")).status == 403

    async def test_the_checked_address_is_the_one_connected_to(
        self, call: Caller, stub: HttpStub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []

        async def resolve(host: str, *args: Any, **options: Any) -> list[Any]:
            asked.append(host)
            address = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
            return [(2, 1, 6, "", (address, stub.port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        url = f"http://rebinding.example:{stub.port}/"
        assert await call(url) == {"method": "GET", "target": "/"}
        assert asked == ["rebinding.example"]

    async def test_a_name_that_leads_into_the_machine_is_refused(
        self, call: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def resolve(host: str, *args: Any, **options: Any) -> list[Any]:
            return [(2, 1, 6, "", ("169.254.169.254", 80)), (10, 1, 6, "", ("fe80::1", 80, 0, 0))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        error = await call.fails("http://innocent.example/")
        assert (error.type, error.status) == (f"{ERRORS}authorization", 403)
        assert "innocent.example (169.254.169.254)" in (error.detail or "")
