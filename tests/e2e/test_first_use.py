"""What a newcomer runs into on the first day: messages, hints and warnings."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import DOUBLE, HELLO, running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Flunq

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    """A cluster that hosts no functions."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as command:
        yield command


def test_a_call_that_nobody_takes_is_told_of(cluster: Flunq) -> None:
    (cluster.home / "call.yaml").write_text(DOUBLE.replace("call: double", "call: treble"))
    shown = cluster("run", "call.yaml", "--id", "queued", "--timeout", "6s")
    assert shown.code == 5
    assert "treble is on the queue" in shown.err
    assert "host it with: flunq up --functions FILE" in shown.err
    assert "on the queue for an executor that hosts it" in cluster("get", "queued").out


def test_a_cluster_that_was_named_is_never_replaced_by_a_private_one(flunq: Flunq) -> None:
    (flunq.home / "hello.yaml").write_text(HELLO)
    flunq("context", "add", "prod", "--api-url", "http://127.0.0.1:1")
    shown = flunq("run", "hello.yaml", "-c", "prod")
    assert (shown.code, shown.out) == (6, "")
    assert "the context prod names no nats_url" in shown.err


def test_a_cluster_elsewhere_is_asked_about_in_plain_words(flunq: Flunq) -> None:
    flunq("context", "add", "prod", "--api-url", "http://127.0.0.1:1")
    shown = flunq("status", "-c", "prod")
    assert shown.code == 6
    assert "http://127.0.0.1:1 does not answer: connection refused (context prod)" in shown.err
    assert "hint: check the context: flunq context show prod" in shown.err


def test_the_doctor_does_not_take_one_cluster_for_another(cluster: Flunq) -> None:
    cluster("context", "add", "prod", "--api-url", "http://127.0.0.1:1")
    checks = {check["name"]: check for check in cluster("doctor", "-c", "prod", "-o", "json").json}
    assert "context prod is elsewhere" in checks["cluster"]["value"]
    assert "api" not in checks


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["up", "--durability", "fst"], ["'fst' is no durability", "one of strict, fast"]),
        (["up", "--workers", "0"], ["workers: expected a whole number >= 1"]),
        (["up", "--nats-port", "abc"], ["'abc' is not a whole number"]),
        (["list", "-n", "many"], ["'many' is not a whole number"]),
    ],
)
def test_wrong_values_are_told_without_jargon(
    arguments: list[str], words: list[str], flunq: Flunq
) -> None:
    shown = flunq(*arguments)
    assert shown.code == 2
    assert [word for word in words if word not in shown.err] == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("workers = 'two'", "workers: expected a whole number, got 'two'"),
        ("a = [", "not valid TOML: "),
    ],
)
def test_wrong_settings_are_told_without_jargon(content: str, words: str, flunq: Flunq) -> None:
    (flunq.home / "flunq.toml").write_text(content)
    shown = flunq("config", "show")
    assert shown.code == 2
    assert f"error: {words}" in shown.err


def test_an_address_that_is_none_is_wrong_usage(flunq: Flunq) -> None:
    shown = flunq("list", environ={"FLUNQ_NATS_URL": "http://127.0.0.1:1"})
    assert shown.code == 2
    assert "'http://127.0.0.1:1' is no address of NATS" in shown.err


def test_a_configuration_folder_that_cannot_be_written_is_named(flunq: Flunq) -> None:
    shown = flunq("up", "--detach", environ={"FLUNQ_CONFIG_DIR": "/proc/nobody"})
    assert shown.code == 2
    assert "cannot write to the configuration folder" in shown.err
    assert "FLUNQ_CONFIG_DIR" in shown.err
    assert flunq("status").code == 6


def test_an_option_of_another_tool_gets_no_random_suggestion(flunq: Flunq) -> None:
    assert "did you mean" not in flunq("list", "--where", "x").err
    assert "did you mean" not in flunq("list", "--jq", ".").err


def test_usage_names_arguments_as_the_list_below_it_does(flunq: Flunq) -> None:
    assert "Usage: flunq run [OPTIONS] FILE\n" in flunq("run", "--help").out
    assert "Usage: flunq tail [OPTIONS] [ID]\n" in flunq("tail", "--help").out


def test_the_hint_about_quotes_is_kept_for_the_shell(flunq: Flunq) -> None:
    (flunq.home / "hello.yaml").write_text(HELLO)
    (flunq.home / "in.json").write_text("{name: ")
    assert "quote JSON for the shell" in flunq("run", "hello.yaml", "-i", "{name: ").err
    assert "quote JSON for the shell" not in flunq("run", "hello.yaml", "-i", "@in.json").err


def test_data_of_an_event_may_be_given_as_any_input_is(cluster: Flunq) -> None:
    assert cluster("emit", "com.example.paid", "-i", '{"n": 1}').code == 0


def test_the_second_ctrl_c_is_offered_after_the_first(flunq: Flunq) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "flunq", "up"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=flunq.environment({"TERM": "xterm", "COLUMNS": "", "LINES": ""}),
        cwd=flunq.home,
    )
    os.close(theirs)
    seen = read_until(ours, b"Ctrl-C stops it")
    process.send_signal(signal.SIGINT)
    seen += read_until(ours, b"not running")
    process.wait(timeout=40)
    os.close(ours)
    assert b"Ctrl-C again ends it at once" in seen
    assert process.returncode == 0


def read_until(terminal: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        seen += os.read(terminal, 4096)
    return seen
