"""Which context leads to a cluster that is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flunq.cli.cluster_context import choose_context, folder_of, starting_command
from flunq.config import load
from flunq.contexts import Context, ContextStore
from flunq.errors import UsageError
from flunq.services.supervising.layout import DataDirectory, DirectoryLock
from flunq.services.supervising.statefile import (
    write_state,
)
from tests.support.cluster_state import cluster_state

if TYPE_CHECKING:
    from pathlib import Path


def started(data: Path, name: str) -> DirectoryLock:
    """Leave behind what a cluster writes, and hold the lock as one that runs."""
    directory = DataDirectory(data)
    directory.create()
    state = cluster_state(data=str(data), context=name)
    write_state(directory, state)
    ContextStore().save(Context(name=name, nats_url=state.nats.url, data_dir=str(data)))
    lock = DirectoryLock(directory)
    assert lock.acquire()
    return lock


def test_the_first_cluster_is_local(tmp_path: Path) -> None:
    assert choose_context(tmp_path / "data", None) == "local"


def test_a_data_folder_keeps_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    started(tmp_path / "a", "mine").release()
    assert choose_context(tmp_path / "a", None) == "mine"
    assert choose_context(tmp_path / "a", "yours") == "yours"
    assert folder_of("mine") == tmp_path / "a"
    assert capsys.readouterr().err == ""


def test_it_is_told_when_a_running_cluster_loses_its_context(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = started(tmp_path / "a", "local")
    assert choose_context(tmp_path / "b", None) == "local"
    shown = capsys.readouterr().err
    assert str(tmp_path / "a") in shown
    assert "flunq up --name NAME" in shown
    running.release()
    choose_context(tmp_path / "b", None)
    assert capsys.readouterr().err == ""


def test_what_leads_to_a_cluster_elsewhere_is_not_replaced(tmp_path: Path) -> None:
    ContextStore().save(Context(name="prod", nats_url="nats://far:4222", token="precious"))
    with pytest.raises(UsageError, match="the context prod leads to another cluster"):
        choose_context(tmp_path / "data", "prod")
    assert ContextStore().get("prod").token == "precious"


def test_a_name_that_is_none_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot name a context"):
        choose_context(tmp_path / "data", "a/b")


def test_hints_name_the_cluster_that_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLUNQ_DATA", raising=False)
    store = ContextStore()
    assert starting_command(load({})) == "flunq up"
    store.save(Context(name="second", data_dir=str(tmp_path / "second")))
    store.select("second")
    assert starting_command(load({})) == "flunq up --name second"
    assert starting_command(load({"data": "/my data"})) == "flunq up --data '/my data'"
