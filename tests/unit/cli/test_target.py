"""Which cluster ``flunq run`` uses, and what it says of that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flunq.cli import session
from flunq.cli.running_documents import RunOptions
from flunq.cli.target import is_private
from flunq.contexts import Context, ContextStore

if TYPE_CHECKING:
    import pytest

OPTIONS = RunOptions(file=Path("hello.yaml"), tags={}, priority=None)


def select_a_cluster_that_is_down() -> None:
    store = ContextStore()
    store.save(Context(name="local", nats_url="nats://127.0.0.1:1", data_dir="/data"))
    store.select("local")


def test_a_cluster_that_does_not_run_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    select_a_cluster_that_is_down()
    assert is_private(OPTIONS)
    said = capsys.readouterr().err
    assert said.startswith("the cluster of context local does not run: this uses a private one")
    assert said.count("\n") == 1


def test_without_any_cluster_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert is_private(OPTIONS)
    assert capsys.readouterr().err == ""


def test_quiet_is_quiet_about_that_too(capsys: pytest.CaptureFixture[str]) -> None:
    select_a_cluster_that_is_down()
    session.update(quiet=True)
    assert is_private(OPTIONS)
    assert capsys.readouterr().err == ""
