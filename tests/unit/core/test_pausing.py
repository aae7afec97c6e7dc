"""What the metadata of a document say about errors and hooks."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.pausing import Pause, PauseError, hooks_of, pause_of
from flunq.core.reading import check_document

HEAD = (
    "document: {dsl: 1.0.3, namespace: n, name: w, version: 1.0.0, metadata: {METADATA}}\ndo: []\n"
)


def document(**metadata: Any) -> dict[str, Any]:
    return {"document": {"metadata": metadata}}


@pytest.mark.parametrize(
    ("value", "pause"),
    [
        (None, None),
        ({"after": 3}, Pause(after=3)),
        ({"after": 3, "scope": "workflow"}, Pause(after=3, scope="workflow")),
        ({"after": 1, "within": "PT10M"}, Pause(after=1, within=600_000_000, text="PT10M")),
        (
            {"after": 1, "within": {"minutes": 2, "seconds": 1}},
            Pause(after=1, within=121_000_000, text="2 minutes 1 seconds"),
        ),
    ],
)
def test_a_pause_is_read(value: Any, pause: Any) -> None:
    assert pause_of(document(pause=value)) == pause


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        (3, ""),
        ({}, "/after"),
        ({"after": 0}, "/after"),
        ({"after": 101}, "/after"),
        ({"after": True}, "/after"),
        ({"after": 1, "within": "soon"}, "/within"),
        ({"after": 1, "scope": "tenant"}, "/scope"),
        ({"after": 1, "what": "task"}, "/what"),
    ],
)
def test_a_pause_that_cannot_be_used_says_where(value: Any, pointer: str) -> None:
    with pytest.raises(PauseError) as error:
        pause_of(document(pause=value))
    assert error.value.pointer == f"/document/metadata/pause{pointer}"


@pytest.mark.parametrize(
    ("pause", "count", "reason"),
    [
        (Pause(after=1), 1, "1 attempt failed"),
        (Pause(after=2, text="PT1M"), 2, "2 attempts failed within PT1M"),
        (Pause(after=1, scope="workflow"), 1, "1 failure"),
        (Pause(after=2, text="PT1M", scope="workflow"), 2, "2 failures within PT1M"),
    ],
)
def test_the_reason_of_a_pause_says_what_failed(pause: Pause, count: int, reason: str) -> None:
    assert pause.reason(count) == reason


@pytest.mark.parametrize("value", ["x", {"began": "w"}, {"paused": 1}, {"paused": "/"}])
def test_a_hook_that_cannot_be_used_is_refused(value: Any) -> None:
    with pytest.raises(PauseError):
        hooks_of(document(hooks=value))


@pytest.mark.parametrize(
    ("name", "reference"), [("w", "/w:"), ("n/w", "n/w:"), ("n/w:1.0.0", "n/w:1.0.0")]
)
def test_a_hook_names_a_workflow_as_the_command_line_does(name: str, reference: str) -> None:
    assert str(hooks_of(document(hooks={"paused": name}))["paused"]) == reference


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        ("pause: {after: 0}", "/document/metadata/pause/after"),
        ("hooks: {ended: w}", "/document/metadata/hooks/ended"),
    ],
)
def test_validate_says_where_and_what_would_do(metadata: str, path: str) -> None:
    [problem] = check_document(HEAD.replace("METADATA", metadata), name="w.yaml")
    assert (problem.path, problem.rule, problem.line) == (path, "pause", 1)
    assert problem.hint
