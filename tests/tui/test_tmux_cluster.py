"""The monitor in a real terminal on a real cluster: look, act, lose the cluster, find it again."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import PAUSE, running_cluster
from tests.tui.test_command import terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Flunq

pytestmark = [pytest.mark.tmux, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as command:
        (command.home / "pause.yaml").write_text(PAUSE)
        assert command("apply", "pause.yaml").code == 0
        yield command


def test_an_execution_is_cancelled_and_the_terminal_may_change_its_size(cluster: Flunq) -> None:
    assert cluster("start", "tests/pause", "--id", "to-cancel").code == 0
    with terminal(cluster, "tui") as screen:
        screen.until("to-cancel")
        resize = ["tmux", "-S", str(cluster.home / "tmux"), "resize-window", "-t", "test"]
        for width, height in (("60", "12"), ("20", "5"), ("150", "45")):
            subprocess.run([*resize, "-x", width, "-y", height], check=True)
        screen.until("to-cancel")
        screen.type("C-d")
        screen.until("tests/pause")
        screen.type("y")
        screen.until("cancelled")
        screen.type("C-q")
        screen.until("ended with 0")
    assert cluster("get", "to-cancel", "-o", "json").json["status"] == "cancelled"


def test_a_broker_that_dies_is_told_of_and_found_again(cluster: Flunq) -> None:
    assert cluster("start", "tests/pause", "--id", "survivor").code == 0
    with terminal(cluster, "tui") as screen:
        screen.until("survivor")
        state = cluster("status", "-o", "json").json
        broker = next(each for each in state["services"] if each["name"].startswith("nats"))
        # A supervisor that is held cannot put a new broker in its place at once.
        os.kill(state["pid"], signal.SIGSTOP)
        try:
            os.kill(broker["pid"], signal.SIGKILL)
            screen.until("reconnecting")
            assert "survivor" in screen.screen()
        finally:
            os.kill(state["pid"], signal.SIGCONT)
        screen.until("live")
        screen.type("C-q")
        screen.until("ended with 0")
