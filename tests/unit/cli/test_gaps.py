"""What is neither in the journal nor in the archive is said, not left out in silence."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.cli.commands import history
from flunq.cli.sqlshell.asking import Asking, Options
from flunq.core.events import LazyEvent
from flunq.errors import NotFoundError
from flunq.store.query_job import Done, Gap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def event(seq: int) -> LazyEvent:
    return LazyEvent(
        id=f"x:{seq}",
        source="/test",
        type="io.flunq.test",
        time="2026-01-01T00:00:00Z",
        subject="x",
        tenant="default",
        workflow="test/sample:1.0.0",
        partition=0,
        seq=seq,
        data=msgspec.Raw(b"{}"),
    )


def show_history(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    """Run ``flunq history x`` where these events of ``x`` are left."""

    class Left:
        async def history(self, execution: str) -> AsyncIterator[LazyEvent]:
            for number in numbers:
                yield event(number)

    @asynccontextmanager
    async def connected() -> AsyncIterator[Left]:
        yield Left()

    async def find_execution(client: Left, execution: str) -> Any:
        return SimpleNamespace(id=execution)

    monkeypatch.setattr(history, "connected", connected)
    monkeypatch.setattr(history, "find_execution", find_execution)
    history.command("x")


def test_a_history_without_any_event_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError, match="neither in the journal nor in the archive") as refused:
        show_history(monkeypatch)
    assert "flunq lake status" in (refused.value.hint or "")


def test_a_history_with_a_hole_comes_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show_history(monkeypatch, 4, 5)
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 3
    assert "warning: 3 events of x before number 5" in shown.err
    assert "flunq lake status" in shown.err


def test_a_whole_history_comes_without_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show_history(monkeypatch, 1, 2)
    assert capsys.readouterr().err == ""


async def test_an_answer_with_a_gap_comes_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def here(*_: object) -> Done:
        return Done(rows=1, gap=Gap(first=8, last=40))

    monkeypatch.setattr(Asking, "_here", here)
    await Asking(Options(archive_only=True)).answer("select 1")
    said = capsys.readouterr().err
    assert "the journal begins at 41 and the archive lacks what it had from 8 to 40" in said
    assert "flunq lake status" in said
