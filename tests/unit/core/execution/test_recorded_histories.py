"""Histories of this and of earlier versions fold to the states that they folded to, and go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import histories

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted(histories.FOLDER.glob("*/*.jsonl.gz"))


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.name.partition('.jsonl')[0]}"


def test_each_version_has_recorded_a_spread_of_histories() -> None:
    versions = {path.parent for path in FILES}
    assert versions
    assert all(len(list(version.glob("*.jsonl.gz"))) >= 60 for version in versions)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_recorded_history_folds_to_what_it_folded_to(path: Path) -> None:
    history = histories.read(path)
    head, events = history.head, history.events
    assert len(events) == head.events
    assert histories.digest(histories.folded(events[: head.cut])) == head.half
    assert histories.digest(histories.folded(events)) == head.final


@pytest.mark.parametrize("path", FILES, ids=named)
def test_an_execution_goes_on_from_half_of_its_recorded_history(path: Path) -> None:
    history = histories.read(path)
    driver = histories.driver_after(history, history.head.cut)
    began = 0 if driver.done else len(driver.events)
    histories.go_on(driver)
    assert driver.live.is_terminal
    assert (driver.open, driver.timers) == (set(), {})
    assert len(driver.events) > began


def test_a_history_without_its_end_is_not_the_recorded_one() -> None:
    history = histories.read(histories.FOLDER / "0.1.0" / "data-flow.jsonl.gz")
    shorter = histories.folded(history.events[:-1])
    assert histories.digest(shorter) != history.head.final
