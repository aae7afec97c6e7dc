from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pytest

from flunq.errors import NotFoundError, UsageError
from flunq.sdk import registry
from flunq.sdk.executor import Call, Executor

if TYPE_CHECKING:
    from flunq.sdk.context import TaskContext


class Good(Executor):
    kinds = ("good",)

    async def execute(self, call: Call, context: TaskContext) -> Any:
        return None


HERE = "tests.unit.sdk.test_registry"


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("good", f"{HERE}:Good", registry.GROUP),
        EntryPoint("gone", "no_such_module_at_all:X", registry.GROUP),
        EntryPoint("odd", f"{HERE}:HERE", registry.GROUP),
    ]

    def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
        return [p for p in points if p.group == group and name in (None, p.name)]

    monkeypatch.setattr(registry, "entry_points", entry_points)


def test_names_are_listed_without_loading() -> None:
    assert registry.executor_names() == ["gone", "good", "odd"]


def test_one_executor_is_loaded_by_name() -> None:
    assert registry.load_executor("good").kinds == ("good",)


def test_a_broken_one_raises_when_it_was_asked_for() -> None:
    with pytest.raises(UsageError, match="no_such_module_at_all"):
        registry.load_executor("gone")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(NotFoundError) as caught:
        registry.load_executor("other")
    assert caught.value.hint == "installed are: gone, good, odd"


def test_loading_all_leaves_broken_ones_out_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    loaded, rows = registry.load_executors()
    assert {name: executor.kinds for name, executor in loaded.items()} == {"good": ("good",)}
    assert {row.name: row.problem is None for row in rows} == {
        "gone": False,
        "good": True,
        "odd": False,
    }
    assert "the executor gone is left out" in caplog.text


def test_loading_all_can_be_narrowed() -> None:
    _, rows = registry.load_executors(only=["good"])
    assert [row.name for row in rows] == ["good"]
