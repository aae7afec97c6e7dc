"""Definitions keep what they refer to: schemas, functions and files, whatever happens outside."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flunq.client.bundling import bundle_document
from flunq.client.resources import Fetching
from flunq.core.document.bundle import Bundle, Bundled, content_hash
from flunq.core.reading import read_document
from flunq.errors import FlunqError, RejectedError
from flunq.sdk.egress import EgressPolicy
from tests.support.http_stub import Answer, HttpStub
from tests.support.processes import history, running_cluster

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)
LOCAL = EgressPolicy.of_profile("development")
DOCUMENT = """
document: {dsl: 1.0.3, namespace: test, name: registered, version: 1.0.0}
input: {schema: {resource: {endpoint: 'URL/input.json'}}}
use: {catalogs: {c: {endpoint: 'file://catalog'}}}
do:
- pause: {wait: {milliseconds: 400}}
- twice: {call: 'twice:1.0.0@c', with: {n: '${ .n }'}}
- shell: {run: {script: {language: python, source: {endpoint: 'file://say.py'}}}}
"""
TWICE = "{input: {schema: {document: {required: [n]}}}, set: '${ .n * 2 }'}"
PLAIN = """
document: {dsl: 1.0.3, namespace: test, name: plain, version: 1.0.0}
do: [{a: {call: 'f:1@default'}}]
"""


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


async def test_executions_use_what_was_registered(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    write(folder, "catalog/functions/twice/1.0.0/function.yaml", TWICE)
    write(folder, "say.py", "print('said', end='')")
    async with running_cluster(tmp_path / "data") as cluster, cluster.client() as client:
        async with HttpStub() as stub:
            schema = {"properties": {"n": {"type": "integer"}}, "required": ["n"]}
            stub.answer("/input.json", Answer(json=schema))
            text = DOCUMENT.replace("URL", stub.url)
            fetching = Fetching(directory=folder, egress=LOCAL)
            first = await client.apply(text, fetching=fetching)
            assert not (await client.apply(text, fetching=fetching))["created"]
        waiting = await client.start("registered", {"n": 3}, id="a")
        write(folder, "say.py", "raise SystemExit(1)")
        cluster.kill("node-1")
        assert await waiting.result(20) == "said"
        refused = await (await client.start("registered", {"n": "3"}, id="b")).wait(20)
        assert refused.failure is not None
        assert (refused.failure.instance, refused.failure.status) == ("/input", 400)
        found = await client.workflow("registered")
        assert (found.text, found.definition.digest) == (text, first["digest"])
        assert set(found.resources) == {
            "catalog:c/functions/twice/1.0.0/function.yaml",
            "file:say.py",
            f"{stub.url}/input.json",
        }
        tasks = [event.value().get("task") for event in await history(client, "a")]
        assert "/use/functions/twice:1.0.0@c" in tasks


async def test_other_content_is_another_definition(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    text = PLAIN.replace("f:1@default", "./f.yaml")
    async with running_cluster(tmp_path / "data") as cluster, cluster.client() as client:
        write(folder, "f.yaml", "set: {x: 1}")
        await client.apply(text, fetching=Fetching(directory=folder))
        write(folder, "f.yaml", "set: {x: 2}")
        with pytest.raises(RejectedError, match="other content"):
            await client.apply(text, fetching=Fetching(directory=folder))
        assert await (await client.start("plain")).result(10) == {"x": 1}


async def test_the_engine_refuses_what_is_not_complete(tmp_path: Path) -> None:
    document = read_document(PLAIN, name="plain.yaml")
    folder = tmp_path / "catalog" / "functions" / "f" / "1"
    write(folder, "function.yaml", "set: {x: 1}")
    whole = await bundle_document(
        document, Fetching(directory=tmp_path, catalog=str(tmp_path / "catalog"))
    )
    ((address, entry),) = whole.table.items()
    body = whole.contents[entry.sha256]
    wrong = b'{"set": 3}'
    changed = Bundled(sha256=content_hash(wrong), role="function")
    async with running_cluster(tmp_path / "data") as cluster, cluster.client() as client:
        cases = {
            "not registered": (Bundle(digest=""), "was not registered"),
            "not sent": (Bundle(digest="", table=whole.table), "is not there"),
            "not the content": (
                Bundle(digest="", table=whole.table, contents={entry.sha256: body + b" "}),
                "is not there",
            ),
            "not a function": (
                Bundle(digest="", table={address: changed}, contents={changed.sha256: wrong}),
                "wrong-type",
            ),
        }
        for bundle, message in cases.values():
            with pytest.raises(FlunqError, match=message):
                await client.apply(PLAIN, bundle=bundle)
        assert (await client.apply(PLAIN, bundle=whole))["digest"] == whole.digest


EXTENDED = """
document: {dsl: 1.0.3, namespace: test, name: extended, version: 1.0.0}
use:
  extensions:
  - log:
      extend: call
      before: [{note: {call: http, with: {method: post, endpoint: 'URL/log', body: {task: '${ $task.reference }'}}}}]
      after: [{note: {call: http, with: {method: post, endpoint: 'URL/log', body: {out: '${ $task.output }'}}}}]
  - mock:
      extend: call
      when: $task.with.endpoint | startswith("https://mocked.")
      before: [{answer: {set: {price: 7}, then: exit}}]
do:
- real: {call: http, with: {method: get, endpoint: 'URL/real'}}
- faked: {call: http, with: {method: get, endpoint: 'https://mocked.example.com/'}, output: {as: .price}}
"""  # noqa: E501


async def test_extensions_survive_the_death_of_a_node(tmp_path: Path) -> None:
    async with (
        HttpStub() as stub,
        running_cluster(tmp_path / "data", node={"profile": "development"}) as cluster,
        cluster.client() as client,
    ):
        held = asyncio.Event()
        stub.answer("/log", Answer(json={}))
        stub.answer("/real", Answer(json={"ok": True}, hold=held), Answer(json={"ok": True}))
        await client.apply(EXTENDED.replace("URL", stub.url))
        run = await client.start("extended", id="x")
        while (await stub.arrived.get()).path != "/real":
            pass
        cluster.kill("node-1")
        held.set()
        assert await run.result(30) == 7
        logged = [request.json() for request in stub.requests if request.path == "/log"]
        assert {"task": "/do/0/real"} in logged
        assert {"out": {"ok": True}} in logged
        assert logged[-1] == {"out": {"price": 7}}
