"""Documents that refer to files, catalogs and the web, as a user validates and runs them."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import pytest

from tests.support.http_stub import Answer, HttpStub

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli import Flunq
    from tests.support.http_stub import Request

HEADER = "document: {dsl: 1.0.3, namespace: tests, name: refers, version: 1.0.0}\n"
SCHEMA = "input: {schema: {resource: {endpoint: 'file://in.json'}}}\n"
CALL = "do: [{a: {call: ./f.yaml, with: {n: 3}}}]\n"
GRPC = """\
do:
  - a:
      call: grpc
      with:
        proto: {endpoint: 'file://a.proto'}
        service: {name: S, host: localhost}
        method: m
"""
CATALOG = "do: [{a: {call: 'twice:1.0.0@default', with: {n: 3}}}]\n"
TWICE = "set: '${ .n * 2 }'\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in.json").write_text('{"type": "object"}')
    (tmp_path / "f.yaml").write_text(TWICE)
    (tmp_path / "w.yaml").write_text(HEADER + SCHEMA + CALL)
    return tmp_path


def test_references_beside_the_document_are_validated(flunq: Flunq, folder: Path) -> None:
    assert flunq("validate", "w.yaml").code == 0
    (folder / "f.yaml").write_text("set: '${ .n + }'\n")
    (folder / "in.json").unlink()
    shown = flunq("validate", str(folder / "w.yaml"), "-o", "json", cwd=folder.parent)
    assert shown.code == 3
    assert [(e["line"], e["column"], e["rule"]) for e in shown.json["errors"]] == [
        (2, 39, "missing-resource"),
        (3, 17, "expression-syntax"),
    ]


def test_a_missing_file_of_a_call_is_a_warning_until_it_is_wanted(
    flunq: Flunq, tmp_path: Path
) -> None:
    (tmp_path / "w.yaml").write_text(HEADER + GRPC)
    shown = flunq("validate", "w.yaml")
    assert (shown.code, "[missing-file]" in shown.err) == (0, True)
    shown = flunq("validate", "w.yaml", "--resolve")
    assert (shown.code, "w.yaml:6:27" in shown.out) == (3, True)


def test_a_document_of_stdin_refers_to_the_working_directory(flunq: Flunq, folder: Path) -> None:
    text = (folder / "w.yaml").read_text()
    assert flunq("run", "-", "-i", "{}", stdin=text).out == "6\n"


def test_an_unknown_schema_format_is_a_problem(flunq: Flunq, tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(
        HEADER + "input: {schema: {format: avro, document: {}}}\ndo: [{a: {set: {x: 1}}}]\n"
    )
    shown = flunq("validate", "w.yaml")
    assert (shown.code, "w.yaml:2:26: " in shown.out, "[schema-format]" in shown.out) == (
        3,
        True,
        True,
    )


def test_what_cannot_be_had_rejects_the_run(flunq: Flunq, folder: Path) -> None:
    (folder / "in.json").unlink()
    shown = flunq("run", "w.yaml", "-o", "json")
    assert (shown.code, shown.json["status"]) == (3, "rejected")
    assert shown.json["errors"][0]["rule"] == "missing-resource"


def guarded(request: Request) -> Answer:
    wanted = "Basic " + base64.b64encode(b"me:s3cret").decode()
    allowed = request.headers.get("authorization") == wanted
    return Answer(body=TWICE.encode()) if allowed else Answer(401)


async def test_a_guarded_catalog_of_the_web(flunq: Flunq, tmp_path: Path) -> None:
    async with HttpStub() as stub:
        stub.answer("/c/functions/twice/1.0.0/function.yaml", guarded)
        policy = "{basic: {use: shop}}"
        endpoint = f"{{uri: '{stub.url}/c', authentication: {policy}}}"
        use = f"use: {{secrets: [shop], catalogs: {{default: {{endpoint: {endpoint}}}}}}}\n"
        (tmp_path / "w.yaml").write_text(HEADER + use + CATALOG)
        (tmp_path / "s.json").write_text('{"shop": {"username": "me", "password": "s3cret"}}')
        asked = ("run", "w.yaml", "--secrets", "s.json")
        shown = await asyncio.to_thread(flunq, *asked)
        assert (shown.code, shown.out) == (0, "6\n")
        (tmp_path / "s.json").write_text('{"shop": {"username": "me", "password": "wrong"}}')
        shown = await asyncio.to_thread(flunq, *asked)
        assert (shown.code, "401" in shown.err, "wrong" in shown.err) == (3, True, False)


def test_the_default_catalog_comes_from_the_settings(flunq: Flunq, tmp_path: Path) -> None:
    function = tmp_path / "shared" / "functions" / "twice" / "1.0.0"
    function.mkdir(parents=True)
    (function / "function.yaml").write_text(TWICE)
    (tmp_path / "w.yaml").write_text(HEADER + CATALOG)
    named = {"FLUNQ_CATALOG": str(tmp_path / "shared")}
    assert flunq("run", "w.yaml", environ=named).out == "6\n"
    shown = flunq("run", "w.yaml")
    assert (shown.code, "FLUNQ_CATALOG" in shown.err) == (3, True)


def test_a_function_that_calls_what_nobody_hosts_is_rejected(flunq: Flunq, folder: Path) -> None:
    (folder / "f.yaml").write_text("call: nowhere\n")
    shown = flunq("run", "w.yaml", "-i", "{}")
    assert (shown.code, "calls 'nowhere'" in shown.err) == (3, True)


def test_apply_asks_for_the_files_before_it_asks_for_a_cluster(flunq: Flunq, folder: Path) -> None:
    with_cluster = flunq("apply", "w.yaml", "--dry-run")
    assert with_cluster.code == 6
    (folder / "in.json").unlink()
    shown = flunq("apply", "w.yaml", "--dry-run", "-o", "json")
    assert (shown.code, shown.json[0]["errors"][0]["rule"]) == (3, "missing-resource")
