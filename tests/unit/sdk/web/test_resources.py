from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.sdk.context import ExecutorContext, TaskContext
from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.testing import LOCAL
from flunq.sdk.web import resources
from flunq.sdk.web.resources import Resource, load_resource, shown
from tests.support.http_stub import Answer, HttpStub

if TYPE_CHECKING:
    from pathlib import Path


async def _fails(resource: Any, context: TaskContext) -> TaskError:
    with pytest.raises(TaskError) as caught:
        await load_resource(resource, context)
    return caught.value


def _with_files(context: TaskContext, *, programs: bool = True) -> TaskContext:
    settings = msgspec.structs.replace(LOCAL, programs=programs)
    return TaskContext(ExecutorContext(settings, secrets=context.secrets))


class TestHttp:
    @pytest.mark.parametrize("form", ["text", "endpoint", "object"])
    async def test_it_is_fetched(self, stub: HttpStub, context: TaskContext, form: str) -> None:
        url = stub.answer("/r", Answer(json={"a": 1}))
        resource: Any = {
            "text": url,
            "endpoint": {"name": "r", "endpoint": url},
            "object": {"endpoint": {"uri": url}},
        }[form]
        loaded = await load_resource(resource, context)
        assert loaded == Resource(uri=url, content=b'{"a":1}', media_type="application/json")

    async def test_a_policy_lets_it_in(self, stub: HttpStub, context: TaskContext) -> None:
        endpoint = {"uri": stub.url + "/r", "authentication": {"basic": {"use": "login"}}}
        await load_resource({"endpoint": endpoint}, context)
        assert stub.requests[0].headers["authorization"] == "Basic YWRhOnB3"

    async def test_it_is_kept_for_a_while(self, stub: HttpStub, context: TaskContext) -> None:
        for _ in range(3):
            await load_resource(stub.url + "/r", context)
        await load_resource(stub.url + "/other", context)
        assert [request.path for request in stub.requests] == ["/r", "/other"]

    async def test_what_one_may_read_another_may_not(
        self, stub: HttpStub, context: TaskContext
    ) -> None:
        url = stub.answer("/r", Answer(200), Answer(401))
        allowed = {"endpoint": {"uri": url, "authentication": {"bearer": {"use": "api"}}}}
        await load_resource(allowed, context)
        assert (await _fails(url, context)).status == 401

    async def test_what_many_want_at_once_is_fetched_once(
        self, stub: HttpStub, context: TaskContext
    ) -> None:
        loaded = await asyncio.gather(*(load_resource(stub.url, context) for _ in range(10)))
        assert (len(loaded), len(stub.requests)) == (10, 1)

    async def test_redirects_are_followed_and_the_last_address_counts(
        self, stub: HttpStub, context: TaskContext
    ) -> None:
        url = stub.answer("/old", Answer(301, headers={"location": "/new"}))
        assert (await load_resource(url, context)).uri == stub.url + "/new"

    async def test_an_error_status_is_a_communication_error(
        self, stub: HttpStub, context: TaskContext
    ) -> None:
        url = stub.answer("/r", Answer(404))
        error = await _fails(url + "?key=secret", context)
        assert (error.type, error.status) == (f"{ERRORS}communication", 404)
        assert error.detail == f"{url} answered 404"

    async def test_too_much_is_not_read(
        self, stub: HttpStub, context: TaskContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resources, "MAX_BYTES", 1000)
        url = stub.answer("/r", Answer(chunks=(b"x" * 600, b"x" * 600)))
        assert "larger than 1000 bytes" in ((await _fails(url, context)).detail or "")

    async def test_it_has_to_come_in_time(self, stub: HttpStub) -> None:
        settings = msgspec.structs.replace(LOCAL, request_timeout=0.05)
        shared = ExecutorContext(settings)
        error = await _fails(stub.answer("/r", Answer(drip=True, json="slow")), TaskContext(shared))
        shared.close()
        assert (error.type, error.status) == (f"{ERRORS}communication", 504)

    async def test_the_egress_policy_holds(self, context: TaskContext) -> None:
        assert (await _fails("http://169.254.169.254/latest", context)).status == 403


class TestFiles:
    async def test_a_path_or_a_file_uri_is_read(self, context: TaskContext, tmp_path: Path) -> None:
        file = tmp_path / "a b.txt"
        file.write_text("hé", "utf-8")
        for place in (str(file), file.as_uri()):
            loaded = await load_resource(place, _with_files(context))
            assert (loaded.text(), loaded.uri) == ("hé", file.as_uri())

    async def test_they_are_closed_where_programs_may_not_run(
        self, context: TaskContext, tmp_path: Path
    ) -> None:
        (tmp_path / "a").touch()
        error = await _fails(str(tmp_path / "a"), _with_files(context, programs=False))
        assert (error.type, error.status) == (f"{ERRORS}authorization", 403)

    async def test_a_file_that_is_none_is_an_error(
        self, context: TaskContext, tmp_path: Path
    ) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        for path in (pipe, tmp_path, tmp_path / "gone"):
            error = await _fails(str(path), _with_files(context))
            assert (error.type, error.status) == (f"{ERRORS}communication", 404)

    async def test_a_large_file_is_not_read(
        self, context: TaskContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resources, "MAX_BYTES", 10)
        (tmp_path / "a").write_bytes(b"x" * 11)
        error = await _fails(str(tmp_path / "a"), _with_files(context))
        assert "larger than 10 bytes" in (error.detail or "")


async def test_what_came_with_the_definition_is_read_by_its_digest() -> None:
    asked: list[str] = []

    async def bundled(digest: str) -> bytes:
        asked.append(digest)
        return b"content"

    shared = ExecutorContext(LOCAL, bundled=bundled)
    loaded = await load_resource("flunq-resource:abc", TaskContext(shared))
    assert (loaded.content, loaded.uri, asked) == (b"content", "flunq-resource:abc", ["abc"])


async def test_without_a_store_nothing_is_bundled(context: TaskContext) -> None:
    error = await _fails("flunq-resource:abc", context)
    assert (error.type, error.status) == (f"{ERRORS}configuration", 400)


@pytest.mark.parametrize("resource", ["", None, 5, {}, {"endpoint": {}}, "ftp://x/", "http://[::1"])
async def test_a_malformed_resource_is_a_validation_error(
    context: TaskContext, resource: Any
) -> None:
    error = await _fails(resource, context)
    assert (error.type, error.status) == (f"{ERRORS}validation", 400)


def test_bytes_that_are_no_text_say_where() -> None:
    with pytest.raises(TaskError, match="not UTF-8 text: invalid start byte at byte 1"):
        Resource(uri="http://x/a", content=b"a\xff").text()


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("http://ada:pw@x.org:8080/a?key=1#f", "http://x.org:8080/a"),
        ("file:///a/b", "file:///a/b"),
        ("a/b.json?x", "a/b.json"),
    ],
)
def test_a_uri_is_shown_without_what_may_be_secret(uri: str, text: str) -> None:
    assert shown(uri) == text
