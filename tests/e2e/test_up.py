"""``flunq up`` and its companions, as a user types them, with the real engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from flunq.contexts import Context, ContextStore
from tests.support.cli import Flunq
from tests.support.waiting import is_alive, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    """A detached cluster for the tests that only look at one."""
    command = Flunq(tmp_path_factory.mktemp("cluster"))
    started = command("up", "--detach")
    assert started.code == 0, started.err
    yield command
    command("down")


@contextmanager
def in_foreground(flunq: Flunq, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``flunq up`` until the block ends; it is ready when the block begins."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flunq", "up", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=flunq.environment(),
        cwd=flunq.home,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("api "), process.communicate()
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=40)


def status(flunq: Flunq) -> dict[str, Any]:
    answer: dict[str, Any] = flunq("status", "-o", "json").json
    return answer


def pids(flunq: Flunq) -> list[int]:
    return [service["pid"] for service in status(flunq)["services"]]


def test_status_as_json_has_what_scripts_rely_on(cluster: Flunq) -> None:
    state = status(cluster)
    assert state["durability"] == "strict"
    assert state["api"]["url"].startswith("http://127.0.0.1:")
    assert state["nats"]["url"].startswith("nats://127.0.0.1:")
    services = {service["name"]: service for service in state["services"]}
    assert set(services) >= {"nats", "control", "node-1"}
    assert all(is_alive(service["pid"]) for service in services.values())
    assert {(each["state"], each["restarts"]) for each in services.values()} == {("ready", 0)}


def test_status_says_in_words_when_data_is_safe(cluster: Flunq) -> None:
    shown = cluster("status")
    assert shown.code == 0
    assert "strict: fsync before every acknowledgement" in shown.out


def test_a_second_up_names_the_pid_and_address_of_the_first(cluster: Flunq) -> None:
    second = cluster("up")
    state = status(cluster)
    assert second.code == 2
    assert f"pid {state['pid']}" in second.err
    assert state["api"]["url"] in second.err


def test_the_context_local_is_written_for_its_owner_alone_and_selected(cluster: Flunq) -> None:
    path = cluster.home / "config" / "contexts" / "local.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert (cluster.home / "config" / "current").read_text().strip() == "local"


def test_logs_of_all_services_are_merged_by_time(cluster: Flunq) -> None:
    shown = cluster("logs", "-n", "0", "-o", "jsonl")
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert {line["service"] for line in lines} >= {"nats", "control", "node-1"}
    times = [line["time"] for line in lines if "time" in line]
    assert times == sorted(times)


def test_logs_of_one_service_are_its_own(cluster: Flunq) -> None:
    shown = cluster("logs", "control", "-o", "jsonl")
    assert {json.loads(line)["service"] for line in shown.out.splitlines()} == {"control"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_following_logs_goes_on_until_it_is_stopped(cluster: Flunq, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "flunq", "logs", "-f", "-o", "jsonl"],
        stdout=subprocess.PIPE,
        text=True,
        env=cluster.environment(),
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["service"]
    with process:
        while process.poll() is None:  # the first may come while Python cannot take it
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=5)
    assert process.returncode == 0


def test_a_cluster_elsewhere_is_asked_through_its_api(cluster: Flunq) -> None:
    url = status(cluster)["api"]["url"]
    ContextStore(cluster.home / "config").save(Context(name="far", api_url=url))
    shown = cluster("status", "-c", "far", "-o", "json")
    assert shown.code == 0, shown.err
    assert shown.json["services"] == [
        {"name": "api", "pid": None, "state": "ready", "restarts": 0, "reason": None, "since": 0.0}
    ]


def test_a_service_of_its_own_joins_an_existing_nats(cluster: Flunq) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "flunq", "serve", "api", "--nats", status(cluster)["nats"]["url"]],
        stderr=subprocess.PIPE,
        text=True,
        env=cluster.environment(),
    )
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    assert any("is ready" in line for line in lines)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_logs_of_an_unknown_service_are_not_found(cluster: Flunq) -> None:
    shown = cluster("logs", "contrl")
    assert shown.code == 4
    assert "control" in shown.err


def test_the_doctor_finds_a_fresh_cluster_healthy(cluster: Flunq) -> None:
    visit = cluster("doctor", "-o", "json")
    checks = {check["name"]: check for check in visit.json}
    failed = [check for check in visit.json if check["status"] == "fail"]
    assert (visit.code, failed) == (0, [])
    assert checks["durability"]["value"] == "strict: fsync before every acknowledgement"
    assert "as declared" in checks["streams"]["value"]


def test_a_demo_leaves_no_cluster_behind(flunq: Flunq) -> None:
    refused = flunq("up", "--demo", "--detach")
    assert refused.code == 2
    assert "flunq up --detach, then" in refused.err
    assert flunq("status").code == 6


def test_down_ends_every_process_and_then_nothing_runs(flunq: Flunq) -> None:
    assert flunq("up", "--detach").code == 0
    running = pids(flunq)
    assert flunq("down").code == 0
    assert not any(is_alive(pid) for pid in running)
    assert flunq("status").code == 6
    assert flunq("down").code == 4


def test_status_without_a_cluster_is_a_problem_object_in_json(flunq: Flunq) -> None:
    shown = flunq("status", "-o", "json")
    assert shown.code == 6
    assert shown.json["type"] == "urn:flunq:error:unavailable"
    assert shown.json["hint"] == "flunq up starts one"


def test_ctrl_c_drains_and_ends_with_zero(flunq: Flunq) -> None:
    with in_foreground(flunq) as process:
        running = pids(flunq)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=40)
    assert process.returncode == 0, err
    assert "node-1 stopped" in err
    assert not any(is_alive(pid) for pid in running)


def test_a_killed_node_is_replaced_and_the_reason_is_shown(flunq: Flunq) -> None:
    with in_foreground(flunq) as process:
        node = next(each for each in status(flunq)["services"] if each["name"] == "node-1")
        os.kill(node["pid"], signal.SIGKILL)
        wait_until(lambda: "killed by SIGKILL" in flunq("status").out)
        wait_until(lambda: flunq("status").code == 0)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=40)
    assert process.returncode == 0
    assert "node-1 ended: killed by SIGKILL" in err


def test_nothing_is_left_behind_when_up_itself_is_killed(flunq: Flunq) -> None:
    with in_foreground(flunq) as process:
        running = pids(flunq)
        process.kill()
        wait_until(lambda: not any(is_alive(pid) for pid in running))
    shown = flunq("status")
    assert (shown.code, shown.out) == (6, "")
    assert f"the one with pid {process.pid} was killed" in shown.err
    assert flunq("up", "--detach").code == 0
    assert flunq("down").code == 0


def test_two_clusters_each_have_a_context_of_their_own(cluster: Flunq) -> None:
    second = str(cluster.home / "second")
    try:
        started = cluster("up", "--detach", "--data", second, "--name", "second")
        assert (started.code, "warning" in started.err) == (0, False), started.err
        assert cluster("context", "show", "second", "-o", "json").json["data_dir"] == second
        first = cluster("-c", "local", "workflows", "list", "-o", "json")
        assert first.code == 0, first.err
    finally:
        cluster("down", "--data", second)
        cluster("context", "use", "local")
    assert "flunq up --name second" in cluster("-c", "second", "list").err


def test_functions_that_cannot_be_loaded_end_up_with_the_reason(flunq: Flunq) -> None:
    broken = flunq.home / "steps.py"
    broken.write_text("import nothing_like_this\n", encoding="utf-8")
    shown = flunq("up", "--functions", str(broken))
    assert shown.code == 2
    assert "node-1 does not start" in shown.err
    assert "nothing_like_this" in shown.err


def test_the_demo_shows_events_and_ends_by_itself_without_a_terminal(flunq: Flunq) -> None:
    shown = flunq("up", "--demo", "-o", "jsonl")
    events = [json.loads(line) for line in shown.out.splitlines()]
    assert shown.code == 0, shown.err
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "io.serverlessworkflow.workflow.completed.v1"
    assert any(event["type"].endswith("task.retried.v1") for event in events)
    assert not (flunq.home / "data").exists()


def test_a_port_that_is_taken_is_refused_with_a_hint(cluster: Flunq, flunq: Flunq) -> None:
    port = status(cluster)["api"]["url"].rpartition(":")[2]
    shown = flunq("up", "--api-port", port)
    assert shown.code == 2
    assert "--api-port" in shown.err
