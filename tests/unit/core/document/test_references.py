"""What a document refers to outside of itself."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from flunq.core.document.references import in_schema, in_workflow, relinked


def found(text: str, base: str = "file:") -> list[tuple[str, str, str]]:
    references = in_workflow(yaml.safe_load(text), base)
    return [(each.pointer, each.role, each.address or each.problem) for each in references]


SCHEMA = "schema: {resource: {endpoint: 'file://s.json'}}"


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        (f"input: {{{SCHEMA}}}", "/input"),
        (f"output: {{{SCHEMA}}}", "/output"),
        (f"do: [{{a: {{set: 1, input: {{{SCHEMA}}}}}}}]", "/do/0/a/input"),
        (f"do: [{{a: {{set: 1, export: {{{SCHEMA}}}}}}}]", "/do/0/a/export"),
        (f"do: [{{a: {{do: [{{b: {{output: {{{SCHEMA}}}}}}}]}}}}]", "/do/0/a/do/0/b/output"),
        (
            f"do: [{{a: {{try: [], catch: {{do: [{{b: {{output: {{{SCHEMA}}}}}}}]}}}}}}]",
            "/do/0/a/catch/do/0/b/output",
        ),
        (
            f"do: [{{a: {{fork: {{branches: [{{b: {{output: {{{SCHEMA}}}}}}}]}}}}}}]",
            "/do/0/a/fork/branches/0/b/output",
        ),
        (
            f"do: [{{a: {{listen: {{}}, foreach: {{output: {{{SCHEMA}}}}}}}}}]",
            "/do/0/a/foreach/output",
        ),
        (f"use: {{functions: {{f: {{output: {{{SCHEMA}}}}}}}}}", "/use/functions/f/output"),
        (
            f"use: {{extensions: [{{e/x: {{after: [{{b: {{output: {{{SCHEMA}}}}}}}]}}}}]}}",
            "/use/extensions/0/e~1x/after/0/b/output",
        ),
    ],
)
def test_schemas_are_found_wherever_they_may_stand(text: str, pointer: str) -> None:
    where = f"{pointer}/schema/resource/endpoint"
    assert found(text) == [(where, "schema", "file:s.json")]


@pytest.mark.parametrize(
    ("task", "pointer", "role", "address"),
    [
        ("call: 'f:1@c'", "/call", "function", "catalog:c/functions/f/1/function.yaml"),
        ("call: 'https://x/f.yaml'", "/call", "function", "https://x/f.yaml"),
        (
            "{call: grpc, with: {proto: {endpoint: 'file://p/a.proto'}}}",
            "/with/proto/endpoint",
            "proto",
            "file:p/a.proto",
        ),
        (
            "{call: openapi, with: {document: {endpoint: {uri: 'file://a.yaml'}}}}",
            "/with/document/endpoint/uri",
            "file",
            "file:a.yaml",
        ),
        (
            "{call: a2a, with: {agentCard: {endpoint: 'file:///a.json'}}}",
            "/with/agentCard/endpoint",
            "file",
            "file:///a.json",
        ),
        (
            "run: {script: {source: {endpoint: 'file://s.py'}}}",
            "/run/script/source/endpoint",
            "file",
            "file:s.py",
        ),
    ],
)
def test_functions_and_files_are_found(task: str, pointer: str, role: str, address: str) -> None:
    text = task if task.startswith("{") else f"{{{task}}}"
    assert found(f"do: [{{a: {text}}}]") == [(f"/do/0/a{pointer}", role, address)]


@pytest.mark.parametrize(
    "task",
    [
        "{call: openapi, with: {document: {endpoint: 'https://x/a.yaml'}}}",
        "{call: openapi, with: {document: {endpoint: '${ .where }'}}}",
        "{call: grpc, with: {proto: {endpoint: 'file://{name}.proto'}}}",
        "{run: {script: {source: {endpoint: {uri: 'http://x/s.py'}}}}}",
        "{call: http, with: {endpoint: 'file://x'}}",
        "{call: greet}",
        "{set: {call: 'f:1@c', schema: {resource: {endpoint: 'file://x'}}}}",
        "{output: {schema: {document: {type: object}}}}",
    ],
)
def test_what_is_found_out_at_run_time_or_is_no_reference_is_left_alone(task: str) -> None:
    assert found(f"do: [{{a: {task}}}]") == []


def test_a_function_of_the_document_hides_one_outside() -> None:
    text = "{use: {functions: {'f:1@c': {set: 1}}}, do: [{a: {call: 'f:1@c'}}]}"
    assert found(text) == []


def test_a_problem_takes_the_place_of_an_address() -> None:
    ((pointer, role, problem),) = found("do: [{a: {call: 'ftp://x/f.yaml'}}]")
    assert (pointer, role) == ("/do/0/a/call", "function")
    assert "not from ftp" in problem
    ((_, _, problem),) = found("input: {schema: {resource: {endpoint: '${ .x }'}}}")
    assert "constant" in problem


@pytest.mark.parametrize(
    ("schema", "addresses"),
    [
        ({"$ref": "b.json#/$defs/x"}, ["file:s/b.json"]),
        ({"properties": {"p": {"$ref": "https://x/b.json"}}}, ["https://x/b.json"]),
        ({"$ref": "#/$defs/x"}, []),
        ({"$ref": "http://json-schema.org/draft-07/schema#"}, []),
        ({"$id": "https://x/a.json", "$ref": "b.json"}, ["https://x/b.json"]),
        ({"$defs": {"b": {"$id": "b.json"}}, "$ref": "b.json"}, []),
        ({"properties": {"$ref": {"type": "string"}}}, []),
        ({"enum": [{"$ref": "b.json"}], "const": {"$ref": "c.json"}}, []),
        ({"allOf": [{"items": [{"$ref": "b.json"}]}]}, ["file:s/b.json"]),
    ],
)
def test_links_of_schemas_to_other_documents(schema: Any, addresses: list[str]) -> None:
    assert [r.address for r in in_schema(schema, "", "file:s/a.json")] == addresses


def test_links_are_replaced_and_the_schema_itself_stays_as_it_is() -> None:
    schema = {"properties": {"p": {"$ref": "b.json#/x"}}, "$ref": "#/y"}
    copy = relinked(schema, "file:", lambda written, address, pointer: "urn:b")
    assert copy == {"properties": {"p": {"$ref": "urn:b#/x"}}, "$ref": "#/y"}
    assert schema["properties"] == {"p": {"$ref": "b.json#/x"}}
