"""``flunq tui`` as it is typed: in a real terminal, on files, on a demonstration of its own."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from flunq.store.exports import Header, write_export
from tests.support.cli import Flunq
from tests.support.monitor import definition, order, recording
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def flunq(tmp_path: Path) -> Flunq:
    return Flunq(tmp_path)


def export(folder: Path) -> Path:
    found = recording(order().run(), "order-7")
    header = Header(
        flunq="0",
        exported_at="2026-01-01T00:00:00Z",
        tenant="default",
        execution=found.details,
        definition=definition(),
    )
    path = folder / "order-7.flunq.gz"
    write_export(path, header, found.events)
    return path


class Terminal:
    """A tmux session with one program in it."""

    def __init__(self, socket: Path, name: str) -> None:
        self._tmux = ["tmux", "-S", str(socket)]
        self._name = name

    def type(self, *keys: str) -> None:
        """Press keys."""
        subprocess.run([*self._tmux, "send-keys", "-t", self._name, *keys], check=True)

    def screen(self) -> str:
        """Return what is on the screen."""
        arguments = [*self._tmux, "capture-pane", "-p", "-t", self._name]
        return subprocess.run(arguments, check=False, capture_output=True, text=True).stdout

    def until(self, text: str) -> str:
        """Return the screen once it shows a text."""
        shown = ""

        def arrived() -> bool:
            nonlocal shown
            shown = self.screen()
            return text in shown

        try:
            wait_until(arrived)
        except TimeoutError:
            pytest.fail(f"{text!r} did not come:\n{shown}")
        return shown


@contextmanager
def terminal(flunq: Flunq, *arguments: str) -> Iterator[Terminal]:
    """Run ``flunq`` in a terminal of 110 columns."""
    socket = flunq.home / "tmux"
    command = f"{sys.executable} -m flunq {' '.join(arguments)}; echo ended with $?; exec cat"
    own = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "TMPDIR": str(flunq.home)}
    environment = flunq.environment(own)
    base = ["tmux", "-S", str(socket)]
    new = ["new-session", "-d", "-s", "test", "-x", "110", "-y", "30", command]
    subprocess.run([*base, *new], check=True, env=environment, cwd=flunq.home)
    try:
        yield Terminal(socket, "test")
    finally:
        subprocess.run([*base, "kill-server"], check=False)


@pytest.mark.tmux
def test_an_exported_execution_opens_in_a_terminal(flunq: Flunq) -> None:
    path = export(flunq.home)
    with terminal(flunq, "tui", "--file", path.name) as screen:
        screen.until("order-7")
        screen.type("Enter")
        screen.until("workflow.completed")
        screen.type("0")
        screen.until("PAST 1/38")
        screen.type("C-q")
        screen.until("ended with 0")


@pytest.mark.tmux
def test_the_demonstration_lives_and_leaves_nothing_behind(flunq: Flunq) -> None:
    with terminal(flunq, "tui", "--demo") as screen:
        screen.until("completed")
        screen.type("6")
        screen.until("Inbox")
        screen.type("C-q")
        screen.until("ended with 0")
    assert not list(flunq.home.glob("flunq-demo-*"))


def test_without_a_terminal_it_says_what_to_use(flunq: Flunq) -> None:
    outcome = flunq("tui", "--file", "x")
    assert outcome.code == 2
    assert "flunq tail" in outcome.err


@pytest.mark.timeout(120)
def test_without_a_terminal_the_demonstration_prints_its_events_and_ends(flunq: Flunq) -> None:
    outcome = flunq("tui", "--demo")
    assert outcome.code == 0
    assert "workflow.started" in outcome.out and "workflow.completed" in outcome.out
    assert "a cluster runs in" in outcome.err


def test_keys_are_listed(flunq: Flunq) -> None:
    outcome = flunq("tui", "--keys", "-o", "json")
    assert outcome.code == 0
    assert {"command": "cancel", "keys": "ctrl+d", "what": "end it as cancelled"} in outcome.json


def test_two_things_to_look_at_are_one_too_many(flunq: Flunq) -> None:
    outcome = flunq("tui", "--demo", "--file", "x")
    assert outcome.code == 2


def test_help_of_flunq_imports_no_textual() -> None:
    code = (
        "import sys\nfrom flunq.cli.main import main\nsys.argv = ['flunq', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert 'textual' not in sys.modules and 'flunq_tui' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
