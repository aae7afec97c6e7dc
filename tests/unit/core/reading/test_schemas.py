"""The schemas that ship with flunq."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest

from flunq.core.reading.plan import document_plan
from flunq.resources import load_schema, schema_bytes

EVENT = {"specversion": "1.0", "id": "1", "source": "/flunq", "type": "io.flunq.test"}
ROLES = {
    "authentications", "catch", "correlation", "cron", "dsl", "duration", "error-filter", "errors",
    "errors-of-catch", "event-definition", "expression", "iterator", "opaque", "retries", "retry",
    "schedule", "schema", "secrets", "switch", "task", "tasks", "text", "timeouts", "variable",
}  # fmt: skip


@pytest.mark.parametrize("name", ["workflow", "cloudevent"])
def test_the_schemas_are_schemas(name: str) -> None:
    jsonschema_rs.meta.validate(load_schema(name))
    jsonschema.Draft202012Validator.check_schema(load_schema(name))


def test_the_schemas_are_those_of_this_checkout() -> None:
    folder = Path(__file__).parents[4] / "schemas"
    assert schema_bytes("workflow") == (folder / "workflow.json").read_bytes()


def test_every_role_of_the_schema_is_known_to_the_rules() -> None:
    def roles(value: Any) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(roles, value))
        if not isinstance(value, dict):
            return set()
        own = {value["x-role"]} if "x-role" in value else set()
        return own.union(*map(roles, value.values()))

    assert roles(load_schema("workflow")) == ROLES


def test_a_plan_knows_what_an_expression_is() -> None:
    task = document_plan().properties["do"].items.additional  # type: ignore[union-attr]
    assert task is not None
    assert task.properties["if"].text_role == "expression"
    assert task.properties["input"].properties["from"].text_role == "expression"
    assert task.properties["metadata"].container_role == "opaque"
    assert task.properties["set"].text_role is None
    assert set(task.calls) == {"http", "openapi", "grpc", "asyncapi", "a2a", "mcp"}


def test_a_plan_is_recursive_where_the_language_is() -> None:
    strategy = document_plan().properties["schedule"].properties["on"]
    until = strategy.properties["until"]
    assert until.text_role == "expression"
    assert until.properties["one"] is strategy.properties["one"]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"data": {"a": 1}, "datacontenttype": "application/json"},
        {"data_base64": "aGk="},
        {"time": "2025-01-31T12:00:00Z", "subject": "x", "dataschema": "https://x.y"},
        {"tenant": "default", "partition": 0, "seq": 1, "workflow": "a/b:1.0.0"},
        {"custom1": True},
    ],
)
def test_cloudevents_are_accepted(change: dict[str, Any]) -> None:
    validator = jsonschema_rs.validator_for(load_schema("cloudevent"), validate_formats=True)
    assert validator.is_valid(EVENT | change)


@pytest.mark.parametrize(
    "change",
    [
        {"specversion": "0.3"}, {"id": ""}, {"type": 1}, {"time": "yesterday"}, {"seq": 0},
        {"Upper": 1}, {"list": []}, {"data": 1, "data_base64": "aGk="}, {"data_base64": "a"},
        {"seq": "1"}, {"custom": 1.5},
    ],
)  # fmt: skip
def test_what_is_no_cloudevent_is_refused(change: dict[str, Any]) -> None:
    validator = jsonschema_rs.validator_for(load_schema("cloudevent"), validate_formats=True)
    assert not validator.is_valid(EVENT | change)
