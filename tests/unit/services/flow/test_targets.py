"""Which target a dispatch calls, and what speaks against it."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.execution.commands import Failure
from flunq.core.execution.effects import Dispatch
from flunq.errors import RejectedError
from flunq.sdk.executor import ERRORS
from flunq.services.flow.targets import as_target, is_broken, target_of

CALLS: list[tuple[str, Any, str]] = [
    ("http", {"endpoint": "https://u:p@api.example.com/a?b"}, "https://api.example.com:443"),
    ("http", {"endpoint": {"uri": "http://localhost:81/x"}}, "http://localhost:81"),
    ("http", {"endpoint": "http://[::1]:9/"}, "http://[::1]:9"),
    ("http", {"endpoint": "http://host:notaport/"}, ""),
    ("http", {"endpoint": 3}, ""),
    ("http", None, ""),
    ("openapi", {"document": {"endpoint": "https://a.example/x.json"}}, "https://a.example:443"),
    ("grpc", {"service": {"host": "h", "port": 50051}}, "grpc://h:50051"),
    ("a2a", {"server": "https://agents.example/1"}, "https://agents.example:443"),
    ("function:charge", {}, "function:charge"),
    ("run:shell", {}, ""),
]


@pytest.mark.parametrize(("kind", "arguments", "target"), CALLS)
def test_the_target_is_whoever_fails_as_a_whole(kind: str, arguments: Any, target: str) -> None:
    dispatch = Dispatch(
        execution="e", task="t", kind=kind, reference="/do/0/x", key="k", attempt=1,
        arguments=arguments,
    )  # fmt: skip
    assert target_of(dispatch) == target


@pytest.mark.parametrize(
    ("type_name", "status", "broken"),
    [
        ("communication", 503, True),
        ("communication", 404, False),
        ("timeout", 408, True),
        ("runtime", 500, False),
    ],
)
def test_an_answer_that_blames_the_caller_says_the_target_lives(
    type_name: str, status: int, broken: bool
) -> None:
    assert is_broken(Failure(type=ERRORS + type_name, status=status)) is broken
    assert not is_broken(None)


@pytest.mark.parametrize(
    ("written", "target"),
    [
        ("https://api.example.com", "https://api.example.com:443"),
        ("https://API.example.com:443/v1/charges?x=1", "https://api.example.com:443"),
        ("http://[::1]:9", "http://[::1]:9"),
        ("grpc://h", "grpc://h:443"),
        ("function:charge", "function:charge"),
    ],
)
def test_what_somebody_writes_is_the_target_that_tasks_have(written: str, target: str) -> None:
    assert as_target(written) == target


@pytest.mark.parametrize("written", ["", "charge", "function:", "api.example.com:443", "http://"])
def test_what_no_task_could_call_is_no_target(written: str) -> None:
    with pytest.raises(RejectedError, match="is no target of calls"):
        as_target(written)
