"""When a repeated start means the execution that is there."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.execution.commands import Start, WorkflowRef
from flunq.services.worker.fingerprint import fingerprint, same_start

KNOWN = WorkflowRef(namespace="n", name="w", version="1.0.0", digest="d1")
INPUT = {"a": 1, "b": [2, {"c": None}]}


def start(value: Any = INPUT, **ref: str) -> Start:
    names = {"namespace": "", "name": "w", "version": "", "digest": ""}
    return Start(id="e", workflow=WorkflowRef(**(names | ref)), input=value)


@pytest.mark.parametrize(
    "ref",
    [{}, {"namespace": "n"}, {"version": "1.0.0"}, {"version": "latest"}, {"digest": "d1"}],
)
def test_what_a_repeat_leaves_open_agrees(ref: dict[str, str]) -> None:
    assert same_start(fingerprint(INPUT), KNOWN, start(**ref))


@pytest.mark.parametrize(
    "ref", [{"namespace": "m"}, {"name": "v"}, {"version": "1.0.1"}, {"digest": "d2"}]
)
def test_another_definition_is_a_conflict(ref: dict[str, str]) -> None:
    assert not same_start(fingerprint(INPUT), KNOWN, start(**ref))


def test_the_order_of_members_does_not_matter() -> None:
    assert same_start(fingerprint(INPUT), KNOWN, start({"b": [2, {"c": None}], "a": 1}))


@pytest.mark.parametrize("value", [{"a": 1}, None, [INPUT], {**INPUT, "a": 2}])
def test_another_input_is_a_conflict(value: Any) -> None:
    assert not same_start(fingerprint(INPUT), KNOWN, start(value))
