from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.sdk.context import ExecutorContext, TaskContext
from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.registry import load_executor
from flunq.sdk.testing import LOCAL, make_call, make_context
from flunq_plugins.openapi import OpenApiExecutor
from tests.support.http_stub import Answer, HttpStub, Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Caller:
    """Calls operations of one document that a stub serves; the answers are echoes."""

    def __init__(self, stub: HttpStub) -> None:
        self.stub = stub
        self.executor = OpenApiExecutor()
        self.context = make_context(secrets={"api": {"token": "t-1"}})
        self.document: dict[str, Any] = {"openapi": "3.1.0", "paths": {}}
        self.url = stub.answer("/api/doc.json", lambda _: Answer(json=self.document))

    def path(self, path: str, method: str = "get", **definition: Any) -> Caller:
        """Add an operation ``op``."""
        item = self.document["paths"].setdefault(path, {})
        item[method] = {"operationId": "op"} | definition
        return self

    def parameter(self, name: str, place: str, path: str = "/p", **definition: Any) -> Caller:
        """Add an operation with one parameter."""
        parameter = {"name": name, "in": place, "schema": {}} | definition
        return self.path(path, parameters=[parameter])

    def body(self, **content: Any) -> Caller:
        """Add an operation with a body."""
        return self.path("/b", "post", requestBody={"required": True, "content": content})

    def swagger(self, *parameters: dict[str, Any], path: str = "/p", **definition: Any) -> Caller:
        """Make it a document of version 2.0 with one operation."""
        self.document = {"swagger": "2.0", "basePath": "/v2/", "paths": {}}
        return self.path(path, "post", parameters=list(parameters), **definition)

    async def __call__(self, parameters: Any = None, **members: Any) -> Any:
        arguments = {
            "document": {"endpoint": self.url},
            "operationId": "op",
            "parameters": parameters,
        }
        call = make_call(arguments | members, kind="openapi")
        return await self.executor.execute(call, TaskContext(self.context))

    async def sent(self, parameters: Any = None, **members: Any) -> Request:
        await self(parameters, **members)
        return self.stub.requests[-1]

    async def fails(self, parameters: Any = None, **members: Any) -> TaskError:
        with pytest.raises(TaskError) as caught:
            await self(parameters, **members)
        return caught.value

    async def invalid(self, parameters: Any = None, **members: Any) -> str:
        error = await self.fails(parameters, **members)
        assert (error.type, error.status) == (f"{ERRORS}validation", 400)
        return error.detail or ""


@pytest.fixture
async def call() -> AsyncIterator[Caller]:
    async with HttpStub() as stub:
        caller = Caller(stub)
        yield caller
        caller.context.close()


def test_it_is_installed_like_a_strangers_plugin() -> None:
    assert load_executor("openapi") is OpenApiExecutor


class TestOperation:
    @pytest.mark.parametrize("method", ["get", "put", "post", "delete", "options", "patch"])
    async def test_it_is_found_by_its_id(self, call: Caller, method: str) -> None:
        call.path("/a").document["paths"]["/a"]["get"]["operationId"] = "other"
        call.path("/b", method)
        assert await call() == {"method": method.upper(), "target": "/b"}

    async def test_an_unknown_one_is_a_validation_error(self, call: Caller) -> None:
        call.path("/a", operationId="findPets")
        assert "no operation 'findPet'; did you mean findPets?" in await call.invalid(
            operationId="findPet"
        )

    @pytest.mark.parametrize(
        "document",
        [{"openapi": "4.0.0"}, {"swagger": "1.2"}, {"paths": {}}, [1], "text", {"openapi": None}],
    )
    async def test_something_else_is_a_validation_error(self, call: Caller, document: Any) -> None:
        call.document = document
        assert "neither OpenAPI 3.x nor Swagger 2.0" in await call.invalid()

    @pytest.mark.parametrize(
        "members",
        [
            {"operationId": None},
            {"operationId": 5},
            {"output": "all"},
            {"parameters": ["a"]},
            {"document": {}},
        ],
    )
    async def test_a_malformed_call_is_a_validation_error(
        self, call: Caller, members: dict[str, Any]
    ) -> None:
        await call.path("/a").invalid(**members)

    async def test_yaml_is_as_good_as_json(self, call: Caller) -> None:
        text = "openapi: 3.0.3\npaths:\n  /y:\n    get: {operationId: op, responses: {200: {}}}\n"
        call.url = call.stub.answer("/doc", Answer(body=text.encode()))
        assert await call() == {"method": "GET", "target": "/y"}

    async def test_a_version_may_be_written_as_a_number(self, call: Caller) -> None:
        text = "swagger: 2.0\npaths: {/y: {get: {operationId: op}}}"
        call.url = call.stub.answer("/doc", Answer(body=text.encode()))
        assert await call() == {"method": "GET", "target": "/y"}

    async def test_the_document_is_fetched_once(self, call: Caller) -> None:
        call.path("/a")
        for _ in range(3):
            await call()
        assert [r.path for r in call.stub.requests] == ["/api/doc.json", "/a", "/a", "/a"]

    async def test_the_document_may_need_a_policy(self, call: Caller) -> None:
        endpoint = {"uri": call.url, "authentication": {"bearer": {"use": "api"}}}
        await call.path("/a")(document={"endpoint": endpoint})
        document, operation = call.stub.requests
        assert document.headers["authorization"] == "Bearer t-1"
        assert "authorization" not in operation.headers


class TestParameters:
    @pytest.mark.parametrize(
        ("definition", "value", "target"),
        [
            ({}, "a/b c", "/p/a%2Fb%20c"),
            ({}, 5, "/p/5"),
            ({}, True, "/p/true"),
            ({}, 2.0, "/p/2"),
            ({}, [3, "é"], "/p/3,%C3%A9"),
            ({}, {"R": 1, "G": 2}, "/p/R,1,G,2"),
            ({"explode": True}, {"R": 1, "G": 2}, "/p/R=1,G=2"),
            ({"style": "label"}, "a", "/p/.a"),
            ({"style": "label"}, [1, 2], "/p/.1,2"),
            ({"style": "label", "explode": True}, [1, 2], "/p/.1.2"),
            ({"style": "matrix"}, "a", "/p/;x=a"),
            ({"style": "matrix"}, [1, 2], "/p/;x=1,2"),
            ({"style": "matrix", "explode": True}, [1, 2], "/p/;x=1;x=2"),
            ({"style": "matrix", "explode": True}, {"R": 1, "G": 2}, "/p/;R=1;G=2"),
            ({"content": {"application/json": {}}}, {"a": 1}, "/p/%7B%22a%22%3A1%7D"),
        ],
    )
    async def test_in_the_path(
        self, call: Caller, definition: dict[str, Any], value: Any, target: str
    ) -> None:
        call.parameter("x", "path", "/p/{x}", required=True, **definition)
        assert (await call({"x": value}))["target"] == target

    @pytest.mark.parametrize(
        ("definition", "value", "query"),
        [
            ({}, "a b&c=d/é", "x=a%20b%26c%3Dd%2F%C3%A9"),
            ({"allowReserved": True}, "a/b?c", "x=a/b?c"),
            ({}, [1, 2], "x=1&x=2"),
            ({"explode": False}, [1, "a,b"], "x=1,a%2Cb"),
            ({}, {"R": 1, "G": 2}, "R=1&G=2"),
            ({"explode": False}, {"R": 1, "G": 2}, "x=R,1,G,2"),
            ({"style": "spaceDelimited"}, [1, 2], "x=1%202"),
            ({"style": "pipeDelimited"}, [1, 2], "x=1|2"),
            ({"style": "deepObject"}, {"R": 1, "n": {"a": [2, 3]}}, "x[R]=1&x[n][a]=2&x[n][a]=3"),
            ({"content": {"application/json": {}}}, [1], "x=%5B1%5D"),
            ({}, [], ""),
            ({}, None, ""),
            ({}, "", "x="),
        ],
    )
    async def test_in_the_query(
        self, call: Caller, definition: dict[str, Any], value: Any, query: str
    ) -> None:
        target = (await call.parameter("x", "query", **definition)({"x": value}))["target"]
        assert target.partition("?")[2].replace("%5B", "[").replace("%5D", "]").replace(
            "%7C", "|"
        ) == query.replace("%5B", "[").replace("%5D", "]")

    @pytest.mark.parametrize(
        ("definition", "value", "text"),
        [
            ({}, "a b", "a b"),
            ({}, [1, 2], "1,2"),
            ({}, {"R": 1, "G": 2}, "R,1,G,2"),
            ({"explode": True}, {"R": 1, "G": 2}, "R=1,G=2"),
            ({"content": {"application/json": {}}}, {"a": 1}, '{"a":1}'),
        ],
    )
    async def test_in_a_header(
        self, call: Caller, definition: dict[str, Any], value: Any, text: str
    ) -> None:
        request = await call.parameter("X-A", "header", **definition).sent({"X-A": value})
        assert request.headers["x-a"] == text

    async def test_in_a_cookie(self, call: Caller) -> None:
        parameters = [{"name": name, "in": "cookie"} for name in ("a", "b")]
        request = await call.path("/p", parameters=parameters).sent({"a": "1; c=2", "b": True})
        assert request.headers["cookie"] == "a=1%3B%20c%3D2; b=true"

    async def test_those_of_the_path_count_too_and_the_operations_win(self, call: Caller) -> None:
        call.path("/p", parameters=[{"name": "x", "in": "query", "explode": False}])
        call.document["paths"]["/p"]["parameters"] = [
            {"name": "x", "in": "query"},
            {"name": "y", "in": "query"},
        ]
        assert (await call({"x": [1, 2], "y": 3}))["target"].startswith("/p?")
        assert set(call.stub.requests[-1].target.partition("?")[2].split("&")) == {"x=1,2", "y=3"}

    async def test_missing_ones_are_named_all_at_once(self, call: Caller) -> None:
        parameters = [
            {"name": "id", "in": "path", "required": True},
            {"name": "q", "in": "query", "required": True},
            {"name": "optional", "in": "query"},
        ]
        call.path("/p/{id}", "post", parameters=parameters, requestBody={"required": True})
        assert await call.invalid({"q": None}) == "op needs id, q, body, and got q"
        assert len(call.stub.requests) == 1

    @pytest.mark.parametrize("value", ["", ".", "..", []])
    async def test_a_path_cannot_be_left(self, call: Caller, value: Any) -> None:
        call.parameter("x", "path", "/p/{x}", required=True)
        assert "would lead to another path" in await call.invalid({"x": value})

    async def test_a_place_in_the_path_needs_a_parameter(self, call: Caller) -> None:
        assert "the path /p/{x} has no parameter x" in await call.path("/p/{x}").invalid()

    async def test_what_has_no_place_is_left_out_and_logged(
        self, call: Caller, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, "flunq.executor"):
            assert (await call.path("/p")({"typo": 1}))["target"] == "/p"
        assert "op has no place for typo" in caplog.text

    async def test_a_header_cannot_smuggle_another(self, call: Caller) -> None:
        await call.parameter("X-A", "header").invalid({"X-A": "1\r\nEvil: 2"})

    @pytest.mark.parametrize(
        ("format", "query"),
        [
            (None, "x=1,2"),
            ("csv", "x=1,2"),
            ("ssv", "x=1%202"),
            ("tsv", "x=1%092"),
            ("pipes", "x=1|2"),
            ("multi", "x=1&x=2"),
        ],
    )
    async def test_version_2_has_collection_formats(
        self, call: Caller, format: str | None, query: str
    ) -> None:
        parameter = {"name": "x", "in": "query", "type": "array"}
        call.swagger(parameter | ({"collectionFormat": format} if format else {}))
        target = (await call({"x": [1, 2]}))["target"]
        assert target.replace("%7C", "|") == f"/v2/p?{query}"


class TestBody:
    @pytest.mark.parametrize(
        ("parameters", "sent"),
        [
            ({"body": {"a": 1}}, b'{"a":1}'),
            ({"body": [1]}, b"[1]"),
            ({"body": "text"}, b'"text"'),
            ({"a": 1, "b": None}, b'{"a":1,"b":null}'),
            ({"body": 1, "a": 2}, b'{"body":1,"a":2}'),
        ],
    )
    async def test_it_is_body_or_all_that_is_left(
        self, call: Caller, parameters: Any, sent: bytes
    ) -> None:
        request = await call.body(**{"application/json": {}}).sent(parameters)
        assert (request.body, request.headers["content-type"]) == (sent, "application/json")

    async def test_parameters_are_not_part_of_it(self, call: Caller) -> None:
        parameters = [{"name": n, "in": p} for n, p in (("id", "path"), ("q", "query"))]
        body: Any = {"content": {"application/json": {}}}
        call.path("/p/{id}", "put", parameters=parameters, requestBody=body)
        request = await call.sent({"id": 1, "q": None, "name": "x"})
        assert (request.target, request.json()) == ("/p/1", {"name": "x"})

    @pytest.mark.parametrize("parameters", [None, {}, {"body": None}])
    async def test_one_that_is_required_is_missed(self, call: Caller, parameters: Any) -> None:
        assert "op needs body" in await call.body(**{"application/json": {}}).invalid(parameters)

    async def test_one_that_is_not_may_be_missing(self, call: Caller) -> None:
        call.path("/b", "post", requestBody={"content": {"application/json": {}}})
        request = await call.sent()
        assert (request.body, request.headers.get("content-type")) == (b"", None)

    @pytest.mark.parametrize(
        ("offered", "value", "chosen", "sent"),
        [
            (["text/plain", "application/json"], "a", "application/json", b'"a"'),
            (["application/xml", "application/a+json"], {"a": 1}, "application/a+json", b'{"a":1}'),
            (["application/xml", "text/plain"], "<a/>", "application/xml", b"<a/>"),
            (["text/plain"], 5, "text/plain", b"5"),
            (["application/x-www-form-urlencoded"], {"a": [1, 2]}, "", b"a=1&a=2"),
            (["*/*"], {"a": 1}, "application/json", b'{"a":1}'),
            (["*/*"], "a", "text/plain", b"a"),
            (["application/octet-stream"], "AAH/", "application/octet-stream", b"\0\x01\xff"),
            ([], {"a": 1}, "application/json", b'{"a":1}'),
        ],
    )
    async def test_the_media_type_fits_the_value(
        self, call: Caller, offered: list[str], value: Any, chosen: str, sent: bytes
    ) -> None:
        request = await call.body(**{name: {} for name in offered}).sent({"body": value})
        assert request.headers["content-type"] == (chosen or offered[0])
        assert request.body == sent

    async def test_a_content_type_header_chooses(self, call: Caller) -> None:
        content: Any = {"application/json": {}, "text/csv": {}}
        header = {"name": "Content-Type", "in": "header"}
        call.path("/b", "post", parameters=[header], requestBody={"content": content})
        request = await call.sent({"Content-Type": "text/csv", "body": "a,b"})
        assert (request.body, request.headers["content-type"]) == (b"a,b", "text/csv")

    async def test_an_object_cannot_become_xml(self, call: Caller) -> None:
        call.body(**{"application/xml": {}})
        assert "give the body as a text" in await call.invalid({"body": {"a": 1}})

    async def test_a_form_in_parts_has_files_and_fields(self, call: Caller) -> None:
        properties = {
            "name": {"type": "string"},
            "photo": {"$ref": "#/components/schemas/Photo"},
            "more": {"type": "array", "items": {"contentMediaType": "image/png"}},
        }
        schema = {"$ref": "#/components/schemas/Form"}
        call.document["components"] = {
            "schemas": {"Form": {"properties": properties}, "Photo": {"format": "binary"}}
        }
        media = {"schema": schema, "encoding": {"photo": {"contentType": "image/gif"}}}
        call.body(**{"multipart/form-data": media})
        request = await call.sent({"name": "milou", "photo": "AAH/", "more": ["YQ==", "Yg=="]})
        assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert b'name="name"\r\n\r\nmilou\r\n' in request.body
        assert b'filename="photo"\r\nContent-Type: image/gif\r\n\r\n\0\x01\xff\r\n' in request.body
        assert request.body.count(b'name="more"; filename="more"') == 2

    async def test_version_2_has_a_body_parameter(self, call: Caller) -> None:
        call.swagger({"name": "pet", "in": "body", "required": True})
        assert (await call.sent({"pet": {"a": 1}})).json() == {"a": 1}
        assert (await call.sent({"body": {"b": 1}})).json() == {"b": 1}
        assert (await call.sent({"c": 1, "d": 2})).json() == {"c": 1, "d": 2}
        assert "op needs pet" in await call.invalid()

    async def test_version_2_has_form_fields(self, call: Caller) -> None:
        fields = [{"name": n, "in": "formData", "type": "string"} for n in ("a", "b")]
        request = await call.swagger(*fields).sent({"a": "x y", "b": None})
        assert request.body == b"a=x%20y"
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"

    async def test_version_2_has_files(self, call: Caller) -> None:
        file = {"name": "file", "in": "formData", "type": "file", "required": True}
        field = {"name": "tags", "in": "formData", "type": "array"}
        call.swagger(file, field, consumes=["multipart/form-data"])
        request = await call.sent({"file": "AAH/", "tags": ["a", "b"]})
        assert b'filename="file"\r\n' in request.body
        assert b'name="tags"\r\n\r\na,b\r\n' in request.body
        assert "op needs file" in await call.invalid({"tags": []})


class TestServer:
    @pytest.mark.parametrize(
        ("server", "target"),
        [
            (None, "/p"),
            ("/v1", "/v1/p"),
            ("v1/", "/api/v1/p"),
            ("../v2", "/v2/p"),
            ("{stub}/v3", "/v3/p"),
        ],
    )
    async def test_it_is_relative_to_the_document(
        self, call: Caller, server: str | None, target: str
    ) -> None:
        if server is not None:
            url = server.replace("{stub}", call.stub.url)
            call.document["servers"] = [{"url": url}, {"url": "https://never.example"}]
        assert (await call.path("/p")())["target"] == target

    async def test_the_nearest_one_counts(self, call: Caller) -> None:
        call.document["servers"] = [{"url": "/root"}]
        call.path("/p").document["paths"]["/p"]["servers"] = [{"url": "/item"}]
        assert (await call())["target"] == "/item/p"
        call.url += "?2"
        call.path("/p", servers=[{"url": "/operation"}])
        assert (await call())["target"] == "/operation/p"

    async def test_variables_have_defaults_and_may_be_given(self, call: Caller) -> None:
        variables = {"port": {"default": "0"}, "base": {"default": "v1", "enum": ["v1", "v2"]}}
        url = "http://127.0.0.1:{port}/{base}"
        call.document["servers"] = [{"url": url, "variables": variables}]
        call.path("/p")
        assert (await call({"port": call.stub.port}))["target"] == "/v1/p"
        assert (await call({"port": call.stub.port, "base": "v2"}))["target"] == "/v2/p"
        assert "not among the values" in await call.invalid({"base": "v3"})
        assert "cannot be the server's port" in await call.invalid({"port": "1@evil.example"})

    async def test_a_variable_without_value_is_an_error(self, call: Caller) -> None:
        call.document["servers"] = [{"url": "http://{where}/"}]
        assert "where has no default" in await call.path("/p").invalid()

    @pytest.mark.parametrize(
        ("members", "target"),
        [
            ({}, "/p"),
            ({"basePath": "/v2"}, "/v2/p"),
            ({"basePath": "/"}, "/p"),
            ({"host": "{stub}", "schemes": ["http"]}, "/p"),
            ({"host": "{stub}", "schemes": ["ws", "http"], "basePath": "/x/"}, "/x/p"),
        ],
    )
    async def test_version_2_has_host_and_base_path(
        self, call: Caller, members: dict[str, Any], target: str
    ) -> None:
        call.swagger()
        del call.document["basePath"]
        if "host" in members:
            members = members | {"host": f"127.0.0.1:{call.stub.port}"}
        call.document |= members
        assert (await call())["target"] == target

    async def test_other_schemes_are_no_http(self, call: Caller) -> None:
        call.swagger(schemes=["ws"])
        assert "neither by https nor by http" in await call.invalid()

    async def test_a_bundled_document_has_no_address(self, call: Caller) -> None:
        async def bundled(digest: str) -> bytes:
            return msgspec.json.encode(call.path("/p").document)

        call.context = ExecutorContext(LOCAL, bundled=bundled)
        call.url = "flunq-resource:abc"
        assert "is relative, and the document has no http address" in await call.invalid()
        call.document["servers"] = [{"url": call.stub.url}]
        call.url = "flunq-resource:def"
        assert (await call())["target"] == "/p"


class TestReferences:
    async def test_they_are_followed_within_the_document(self, call: Caller) -> None:
        call.document |= {
            "components": {
                "parameters": {"P/~": {"name": "x", "in": "query"}},
                "requestBodies": {"B": {"$ref": "#/x-more/0"}},
                "pathItems": {"I": {"post": {"operationId": "op"}}},
            },
            "x-more": [{"content": {"application/json": {}}}],
            "paths": {"/p": {"$ref": "#/components/pathItems/I"}},
        }
        operation = call.document["components"]["pathItems"]["I"]["post"]
        operation["parameters"] = [{"$ref": "#/components/parameters/P~1~0"}]
        operation["requestBody"] = {"$ref": "#/components/requestBodies/B"}
        request = await call.sent({"x": 1, "y": 2})
        assert (request.target, request.json()) == ("/p?x=1", {"y": 2})

    async def test_they_lead_to_neighbours(self, call: Caller) -> None:
        part = {"p": {"$ref": "deep/two.yaml#/p"}}
        call.stub.answer("/api/one.json", Answer(json=part))
        call.stub.answer("/api/deep/two.yaml", Answer(body=b"p: {name: x, in: query}"))
        call.path("/p", parameters=[{"$ref": "one.json#/p"}])
        assert (await call({"x": 1}))["target"] == "/p?x=1"
        assert (await call({"x": 2}))["target"] == "/p?x=2"
        assert [r.path for r in call.stub.requests].count("/api/one.json") == 1

    async def test_a_policy_goes_to_neighbours_of_the_same_server_only(self, call: Caller) -> None:
        part = Answer(json={"name": "x", "in": "query"})
        call.stub.answer("/api/near.json", part)
        async with HttpStub() as other:
            far = other.answer("/far.json", part)
            call.path("/p", parameters=[{"$ref": "near.json"}, {"$ref": far}])
            endpoint = {"uri": call.url, "authentication": {"bearer": {"use": "api"}}}
            await call({"x": 1}, document={"endpoint": endpoint})
        near = next(r for r in call.stub.requests if r.path == "/api/near.json")
        assert near.headers["authorization"] == "Bearer t-1"
        assert "authorization" not in other.requests[0].headers

    @pytest.mark.parametrize(
        ("reference", "problem"),
        [
            ("#/components/parameters/Loop", "more than 32 references"),
            ("#/nowhere/0", "there is nothing at #/nowhere/0"),
            ("#/paths/~1p/get/parameters/99", "there is nothing at"),
        ],
    )
    async def test_those_that_lead_nowhere_are_errors(
        self, call: Caller, reference: str, problem: str
    ) -> None:
        loop = {"$ref": "#/components/parameters/Loop"}
        call.document["components"] = {"parameters": {"Loop": loop}}
        call.path("/p", parameters=[{"$ref": reference}])
        assert problem in await call.invalid()

    async def test_documents_that_lead_on_for_ever_are_an_error(self, call: Caller) -> None:
        parameters = [{"$ref": f"part-{number}.json"} for number in range(40)]
        call.path("/p", parameters=parameters)
        assert "more than 32 documents" in await call.invalid()

    async def test_neighbours_may_be_bundled_too(self, call: Caller) -> None:
        call.document["servers"] = [{"url": call.stub.url}]
        call.path("/p", parameters=[{"$ref": "./parts/one.yaml#/x"}])
        contents = {
            "root": msgspec.json.encode(call.document),
            "one": b"x: {$ref: '../two.yaml'}",
            "two": b"{name: x, in: query}",
        }

        async def bundled(digest: str) -> bytes:
            return contents[digest]

        call.context = ExecutorContext(LOCAL, bundled=bundled)
        imports = {"parts/one.yaml": "flunq-resource:one", "two.yaml": "flunq-resource:two"}
        document = {"endpoint": "flunq-resource:root", "imports": imports}
        assert (await call({"x": 1}, document=document))["target"] == "/p?x=1"

    async def test_a_file_is_no_neighbour_of_a_bundled_document(self, call: Caller) -> None:
        async def bundled(digest: str) -> bytes:
            return msgspec.json.encode(call.path("/p", parameters=[{"$ref": "a.json"}]).document)

        call.context = ExecutorContext(LOCAL, bundled=bundled)
        call.url = "flunq-resource:abc"
        assert "give the document in one file" in await call.invalid()


class TestSecurity:
    def _secured(self, call: Caller, *names: str) -> Caller:
        call.document["components"] = {
            "securitySchemes": {
                "key": {"type": "apiKey", "name": "X-Key", "in": "header"},
                "query": {"type": "apiKey", "name": "key", "in": "query"},
                "cookie": {"type": "apiKey", "name": "sid", "in": "cookie"},
                "oauth": {"type": "oauth2"},
            }
        }
        return call.path("/p", security=[{name: []} for name in names])

    async def test_a_policy_authorizes(self, call: Caller) -> None:
        request = await call.path("/p").sent(authentication={"bearer": {"use": "api"}})
        assert request.headers["authorization"] == "Bearer t-1"

    @pytest.mark.parametrize(
        ("scheme", "parameters", "where"),
        [
            ("key", {"X-Key": "k"}, ("k", "/p", None)),
            ("query", {"key": "k"}, (None, "/p?key=k", None)),
            ("cookie", {"sid": "k"}, (None, "/p", "sid=k")),
        ],
    )
    async def test_an_api_key_may_be_a_parameter(
        self, call: Caller, scheme: str, parameters: Any, where: Any
    ) -> None:
        request = await self._secured(call, scheme).sent(parameters)
        headers = request.headers
        assert (headers.get("x-key"), request.target, headers.get("cookie")) == where

    async def test_a_token_is_the_key_where_only_a_key_is_wanted(self, call: Caller) -> None:
        policy = {"bearer": {"use": "api"}}
        request = await self._secured(call, "key").sent(authentication=policy)
        assert request.headers["x-key"] == "t-1"
        assert "authorization" not in request.headers

    async def test_a_token_is_a_token_where_that_is_wanted_too(self, call: Caller) -> None:
        policy = {"bearer": {"use": "api"}}
        request = await self._secured(call, "key", "oauth").sent(authentication=policy)
        assert request.headers["authorization"] == "Bearer t-1"
        assert "x-key" not in request.headers

    async def test_keys_are_not_shown(self, call: Caller) -> None:
        self._secured(call, "key", "query")
        response = await call({"X-Key": "k1", "key": "k2"}, output="response")
        assert response["request"]["headers"]["x-key"] == "[redacted]"
        assert "k2" not in response["request"]["uri"]

    async def test_a_redirect_takes_no_key_to_another_server(self, call: Caller) -> None:
        async with HttpStub() as other:
            location = {"location": other.url + "/x"}
            call.stub.answer("/p", Answer(307, headers=location))
            await self._secured(call, "key").sent({"X-Key": "k"}, redirect=True)
        assert "x-key" not in other.requests[0].headers

    async def test_version_2_has_definitions(self, call: Caller) -> None:
        call.swagger(security=[{"k": []}]).document["securityDefinitions"] = {
            "k": {"type": "apiKey", "name": "api_key", "in": "header"}
        }
        request = await call.sent(authentication={"bearer": {"token": "secret"}})
        assert request.headers["api_key"] == "secret"


class TestResponse:
    async def test_the_output_has_three_forms(self, call: Caller) -> None:
        call.path("/p").stub.answer("/p", Answer(201, json={"a": 1}))
        assert await call() == {"a": 1}
        assert await call(output="raw") == "eyJhIjoxfQ=="
        response = await call(output="response")
        assert (response["statusCode"], response["content"]) == (201, {"a": 1})
        assert response["request"]["method"] == "GET"

    async def test_an_error_status_is_a_communication_error(self, call: Caller) -> None:
        call.path("/p").stub.answer("/p", Answer(404, body=b"no pet"))
        error = await call.fails()
        assert (error.type, error.status) == (f"{ERRORS}communication", 404)

    async def test_redirects_are_followed_if_asked_for(self, call: Caller) -> None:
        call.path("/p").stub.answer("/p", Answer(302, headers={"location": "/q"}))
        assert (await call.fails()).status == 302
        assert (await call(redirect=True))["target"] == "/q"

    async def test_what_is_produced_is_asked_for_json_first(self, call: Caller) -> None:
        content: Any = {"application/xml": {}, "application/json": {}}
        call.path("/p", responses={"200": {"content": content}, "400": {"content": {"a/b": {}}}})
        request = await call.sent()
        assert request.headers["accept"] == "application/json, application/xml, */*;q=0.1"

    async def test_each_attempt_carries_the_idempotency_key(self, call: Caller) -> None:
        assert (await call.path("/p").sent()).key == "execution-1:/do/0/step"


class TestHostile:
    async def test_a_document_that_does_not_come_is_given_up(self, call: Caller) -> None:
        call.context = ExecutorContext(msgspec.structs.replace(LOCAL, request_timeout=0.05))
        call.url = call.stub.answer("/slow", Answer(hold=asyncio.Event()))
        error = await call.fails()
        assert (error.type, error.status) == (f"{ERRORS}communication", 504)

    @pytest.mark.parametrize(
        "body", [b"\xff\xfe", b"[" * 100_000, b'{"openapi": "3.0.0", "paths": [1]}', b"<html/>"]
    )
    async def test_a_document_that_is_none_is_a_validation_error(
        self, call: Caller, body: bytes
    ) -> None:
        call.url = call.stub.answer("/doc", Answer(body=body))
        await call.invalid()

    @pytest.mark.parametrize(
        "definition",
        [
            {"parameters": {"a": 1}, "requestBody": "x", "security": "y", "responses": [1]},
            {"parameters": [1, None, {"in": "query"}, {"name": 5, "in": "query"}]},
            {"requestBody": {"content": [1]}, "servers": "z"},
            {"security": [{"a": []}, 1], "responses": {"200": 5, "default": {"content": 1}}},
        ],
    )
    async def test_nonsense_in_a_document_does_no_harm(
        self, call: Caller, definition: dict[str, Any]
    ) -> None:
        assert (await call.path("/p", "post", **definition)({"x": 1}))["target"] == "/p"

    async def test_a_server_inside_the_machine_is_refused(self, call: Caller) -> None:
        call.document["servers"] = [{"url": "http://169.254.169.254/"}]
        error = await call.path("/latest").fails()
        assert (error.type, error.status) == (f"{ERRORS}authorization", 403)

    async def test_a_reference_into_the_machine_is_refused(self, call: Caller) -> None:
        call.path("/p", parameters=[{"$ref": "http://169.254.169.254/latest"}])
        assert (await call.fails()).status == 403

    @pytest.mark.parametrize("reference", ["file:///etc/passwd", "flunq-resource:abc", "ftp://x/"])
    async def test_a_document_from_afar_leads_to_nothing_local(
        self, call: Caller, reference: str
    ) -> None:
        call.path("/p", parameters=[{"$ref": reference}])
        assert "leads to something else than http" in await call.invalid()

    async def test_a_file_leads_to_the_files_beside_it(self, call: Caller, tmp_path: Path) -> None:
        call.document["servers"] = [{"url": call.stub.url}]
        call.path("/p", parameters=[{"$ref": "part.yaml"}])
        (tmp_path / "doc.json").write_bytes(msgspec.json.encode(call.document))
        (tmp_path / "part.yaml").write_text("{name: x, in: query}")
        settings = msgspec.structs.replace(LOCAL, programs=True)
        call.context = ExecutorContext(settings)
        call.url = str(tmp_path / "doc.json")
        assert (await call({"x": 1}))["target"] == "/p?x=1"
        call.context.close()
