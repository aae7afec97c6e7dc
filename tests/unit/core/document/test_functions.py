"""Functions outside of the document, and files that executors get."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml

from flunq.core.document.bundle import Bundled, Library, bundled_digest, content_hash
from flunq.core.document.checking import check_library
from flunq.core.document.compiler import compile_workflow
from flunq.core.document.functions import find_cycle, read_function
from flunq.core.reading import InvalidDocument, read_source
from tests.support.driver import BASE, Driver, document, environment


def library(files: dict[str, str]) -> Library:
    table, contents = {}, {}
    for address, text in files.items():
        body = msgspec.json.encode(yaml.safe_load(text))
        role: Any = "function" if "function" in address else "schema"
        table[address] = Bundled(sha256=content_hash(body), role=role)
        contents[content_hash(body)] = body
    return Library(table, contents)


def run(text: str, files: dict[str, str], results: Any = None) -> Driver:
    value = document(text)
    driver = Driver(value, None, results)
    workflow = compile_workflow(value, "digest", library(files))
    driver.env = msgspec.structs.replace(environment(value), workflow=workflow)
    return driver.run()


FILE = "file:functions/double.yaml"
DOUBLE = "{input: {schema: {document: {required: [n]}}}, set: '${ .n * 2 }'}"
CATALOG = "catalog:c/functions/greet/1.0.0/function.yaml"


def test_a_function_of_a_file_gets_the_arguments_as_its_input() -> None:
    text = "do: [{a: {call: ./functions/double.yaml, with: {n: 4}}}]"
    assert run(text, {FILE: DOUBLE}).output == 8


def test_its_input_schema_is_checked_and_the_error_points_at_it() -> None:
    failure = run(f"do: [{{a: {{call: '{FILE}', with: {{}}}}}}]", {FILE: DOUBLE}).failure
    assert failure.type == BASE + "validation"
    assert failure.instance == "/use/functions/file:functions~1double.yaml"


def test_errors_inside_of_a_cataloged_function_have_a_stable_pointer() -> None:
    function = "{do: [{x: {raise: {error: {type: 'https://e', status: 400}}}}]}"
    failure = run("do: [{a: {call: 'greet:1.0.0@c'}}]", {CATALOG: function}).failure
    assert failure.instance == "/use/functions/greet:1.0.0@c/do/0/x"


def test_functions_find_what_lies_beside_them() -> None:
    files = {
        CATALOG: "{do: [{x: {call: ./function-two.yaml, with: {n: 1}}}]}",
        "catalog:c/functions/greet/1.0.0/function-two.yaml": (
            "{input: {schema: {resource: {endpoint: 'file://in.json'}}}, set: '${ .n + 1 }'}"
        ),
        "catalog:c/functions/greet/1.0.0/in.json": "{required: [n]}",
    }
    assert run("do: [{a: {call: 'greet:1.0.0@c'}}]", files).output == 2


def test_a_function_uses_the_components_of_the_document() -> None:
    text = """
use:
  functions: {inner: {set: '${ .v }'}}
  errors: {mine: {type: 'https://e', status: 418}}
do: [{a: {call: file:function.yaml}}]
"""
    function = "{do: [{x: {call: inner, with: {v: 1}}}, {y: {raise: {error: mine}}}]}"
    assert run(text, {"file:function.yaml": function}).failure.status == 418


def test_functions_are_extended_like_other_tasks() -> None:
    text = """
use: {extensions: [{e: {extend: set, before: [{b: {call: note}}]}}]}
do: [{a: {call: file:function.yaml}}]
"""
    driver = run(text, {"file:function.yaml": "{set: 3}"}, {"note": None})
    assert (driver.output, len(driver.dispatched)) == (3, 1)


def test_a_function_that_was_not_registered_is_a_configuration_error() -> None:
    failure = run("do: [{a: {call: 'greet:1.0.0@c'}}]", {}).failure
    assert (failure.type, failure.instance) == (BASE + "configuration", "/do/0/a")


def test_files_for_executors_are_replaced_by_their_content() -> None:
    text = """
do:
- g: {call: grpc, with: {proto: {endpoint: 'file://a.proto', name: p}, service: {}, method: m}}
"""
    known = Library(
        {
            "file:a.proto": Bundled(sha256="aa", role="proto", imports={"b.proto": "file:b.proto"}),
            "file:b.proto": Bundled(sha256="bb", role="proto"),
        },
        {},
    )
    task = known.localised(document(text)["do"][0]["g"], "file:")
    assert task["with"]["proto"] == {
        "name": "p",
        "endpoint": "flunq-resource:aa",
        "imports": {"b.proto": "flunq-resource:bb"},
    }
    web = {"call": "openapi", "with": {"document": {"endpoint": "https://x/a.yaml"}}}
    assert known.localised(web, "file:") == web


def test_the_digest_covers_what_was_registered() -> None:
    one, other = Bundled(sha256="aa"), Bundled(sha256="bb")
    assert bundled_digest("d", {}) == "d"
    assert bundled_digest("d", {"x": one}) != bundled_digest("d", {"x": other})
    assert bundled_digest("d", {"x": one, "y": other}) == bundled_digest(
        "d", {"y": other, "x": one}
    )


# --- checking ---------------------------------------------------------------------------------


def problems(text: str, function: str) -> list[str]:
    _, found = read_function(function.encode(), document(text), name="file:f.yaml")
    return [f"{problem.line}:{problem.column} {problem.path} {problem.rule}" for problem in found]


def test_a_function_is_checked_like_a_task_of_the_document() -> None:
    function = "call: http\nwith:\n  method: get\n  endpoint: https://x\n  boddy: 1\nset: 2\n"
    assert any("/with/boddy" in problem for problem in problems("do: []", function))
    assert problems("do: []", "set: '${ .x + }'\n") == ["1:15 /set expression-syntax"]
    assert problems("do: []", "do:\n- a: {set: {x: 1}, then: nowhere}\n") == [
        "2:26 /do/0/a/then unknown-then-target"
    ]


def test_what_a_function_names_has_to_be_in_the_document() -> None:
    function = "do: [{a: {raise: {error: mine}}}]"
    assert "unknown" in problems("do: []", function)[0]
    text = "{use: {errors: {mine: {type: 'https://e', status: 400}}}, do: []}"
    assert problems(text, function) == []


def test_a_text_that_is_no_task_is_refused() -> None:
    assert problems("do: []", "[1, 2]") != []
    with pytest.raises(InvalidDocument):
        read_function(b"a: b: c", document("do: []"), name="file:f.yaml")


def cycle(calls: dict[str, str], inside: dict[str, str]) -> list[str] | None:
    value = document("do: []") | {"use": {"functions": {k: {"call": v} for k, v in inside.items()}}}
    return find_cycle(value, {name: {"call": call} for name, call in calls.items()}, "file:")


def test_circles_of_functions_are_found_with_their_way() -> None:
    assert cycle({"file:a.yaml": "./b.yaml", "file:b.yaml": "./c.yaml"}, {}) is None
    found = cycle({"file:a.yaml": "./b.yaml", "file:b.yaml": "./a.yaml"}, {})
    assert found == ["file:a.yaml", "file:b.yaml", "file:a.yaml"]
    through = cycle({"file:a.yaml": "inner"}, {"inner": "file:a.yaml"})
    assert through == ["file:a.yaml", "inner", "file:a.yaml"]
    assert cycle({"file:a.yaml": "inner"}, {"inner": "inner"}) is None


def checked(text: str, files: dict[str, str]) -> list[tuple[str, str]]:
    source = read_source(msgspec.json.encode(document(text)), name="w.json")
    return [(problem.path, problem.rule) for problem in check_library(source, library(files))]


def test_a_definition_without_what_it_needs_is_refused() -> None:
    text = "do: [{a: {call: 'greet:1.0.0@c'}}, {b: {call: file:function.yaml}}]"
    assert checked(text, {CATALOG: "{set: {x: 1}}", "file:function.yaml": "{set: {x: 1}}"}) == []
    assert checked(text, {CATALOG: "{set: {x: 1}}"}) == [("/do/1/b/call", "not-bundled")]
    nested = {CATALOG: "{call: ./more.yaml}", "file:function.yaml": "{set: {x: 1}}"}
    assert checked(text, nested) == [("/do/0/a/call", "not-bundled")]


def test_a_definition_with_a_wrong_function_is_refused() -> None:
    text = "do: [{a: {call: file:function.yaml}}]"
    assert checked(text, {"file:function.yaml": "{set: '${ .x + }'}"}) == [
        ("/do/0/a/call", "expression-syntax")
    ]
    circle = {"file:function.yaml": "{call: file:function.yaml}"}
    assert checked(text, circle) == [("/do", "function-cycle")]
