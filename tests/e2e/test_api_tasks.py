"""Functions in other languages: workers that speak HTTP, on a cluster as a user starts it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flunq.api.cursors import encode_cursor
from tests.support.api import api_client, api_of
from tests.support.cluster import running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.support.cli import Flunq

WORKERS = Path(__file__).parents[2] / "examples" / "workers"
YAML = {"content-type": "application/yaml"}
CALL = """\
document: {dsl: 1.0.3, namespace: tests, name: NAME, version: 1.0.0}
do:
  - there:
      call: NAME
      with: {n: "${ .n }"}
"""
SECRET = """\
document: {dsl: 1.0.3, namespace: tests, name: secretive, version: 1.0.0}
use: {secrets: [apiKey]}
do:
  - there:
      call: secretive
      with: {key: "${ $secrets.apiKey }"}
"""
GONE = ("urn:flunq:error:not-found", "urn:flunq:error:conflict")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    with running_cluster(tmp_path_factory.mktemp("tasks")) as flunq:
        yield flunq


@pytest.fixture(scope="module")
def api(cluster: Flunq) -> Iterator[httpx.Client]:
    with api_client(cluster) as client:
        yield client


@pytest.fixture
def function(api: httpx.Client, request: pytest.FixtureRequest) -> str:
    """Register a workflow that calls a function which is nowhere; each test has its own."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:40].strip("-")
    text = CALL.replace("NAME", name)
    assert api.post("/v1/workflows", content=text, headers=YAML).status_code == 201
    return str(name)


def start(api: httpx.Client, function: str, **given: Any) -> str:
    answer = api.post("/v1/executions", json={"workflow": function, "input": {"n": 1}, **given})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def poll(api: httpx.Client, *kinds: str, wait: str = "20s", lease: str = "30s") -> dict[str, Any]:
    body = {"kinds": kinds, "worker": "w-1", "wait": wait, "lease": lease}
    answer = api.post("/v1/tasks/poll", json=body)
    assert answer.status_code == 200, answer.text
    task: dict[str, Any] = answer.json()
    return task


def say(api: httpx.Client, task: dict[str, Any], verb: str, **body: Any) -> httpx.Response:
    return api.post(f"/v1/tasks/{task['id']}/{verb}", json={"lease": task["lease"], **body})


def result(api: httpx.Client, id: str) -> dict[str, Any]:
    value: dict[str, Any] = api.get(f"/v1/executions/{id}/result", params={"wait": "20s"}).json()
    return value


def test_a_task_is_taken_and_its_output_is_the_result(api: httpx.Client, function: str) -> None:
    id = start(api, function)
    task = poll(api, "something-else", function)
    assert (task["execution"], task["kind"], task["arguments"]) == (
        id, f"function:{function}", {"n": 1},
    )  # fmt: skip
    assert say(api, task, "heartbeat").json() == {"lease_seconds": 30.0}
    assert say(api, task, "complete", output={"m": 2}).status_code == 204
    assert result(api, id)["output"] == {"m": 2}


def test_a_failure_is_the_one_that_the_worker_told(api: httpx.Client, function: str) -> None:
    id = start(api, function)
    error = {"type": "https://example.com/broke", "status": 418, "detail": "short"}
    assert say(api, poll(api, function), "fail", error=error).status_code == 204
    found = result(api, id)
    assert (found["status"], found["error"]["status"]) == ("faulted", 418)
    assert found["error"]["detail"] == "short"


def test_nothing_to_do_is_an_empty_answer(api: httpx.Client) -> None:
    answer = api.post("/v1/tasks/poll", json={"kinds": ["idle"], "wait": "10ms"})
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_lease_that_ends_gives_the_task_to_somebody_else(
    api: httpx.Client, function: str
) -> None:
    id = start(api, function)
    first = poll(api, function, lease="1s")
    second = poll(api, function)
    assert (second["id"], second["key"]) == (first["id"], first["key"])
    assert say(api, first, "complete", output=1).json()["type"] in GONE
    assert say(api, first, "heartbeat").json()["type"] in GONE
    assert say(api, second, "complete", output=2).status_code == 204
    assert result(api, id)["output"] == 2


def test_a_cancelled_execution_takes_its_task_away(api: httpx.Client, function: str) -> None:
    id = start(api, function)
    task = poll(api, function)
    api.post(f"/v1/executions/{id}/cancel")
    while (beat := say(api, task, "heartbeat")).status_code == 200:
        pass
    assert beat.status_code == 404
    assert say(api, task, "complete", output=1).status_code == 404


def test_what_is_said_twice_is_heard_once(api: httpx.Client, function: str) -> None:
    id = start(api, function)
    task = poll(api, function)
    assert say(api, task, "complete", output="first").status_code == 204
    assert say(api, task, "complete", output="second").status_code == 404
    assert result(api, id)["output"] == "first"


def test_a_large_output_arrives(api: httpx.Client, function: str) -> None:
    id = start(api, function)
    text = "x" * 3_000_000
    assert say(api, poll(api, function), "complete", output=text).status_code == 204
    assert result(api, id)["output"] == text


def test_secrets_are_never_sent_to_workers(api: httpx.Client) -> None:
    api.put("/v1/secrets/apiKey", json={"value": "canary-5678"})
    assert api.post("/v1/workflows", content=SECRET, headers=YAML).status_code == 201
    id = start(api, "secretive")
    answer = api.post("/v1/tasks/poll", json={"kinds": ["secretive"], "wait": "1s"})
    assert "canary" not in answer.text
    assert result(api, id)["error"]["status"] == 403


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"kinds": []}, "$.kinds"),
        ({"kinds": [""]}, "$.kinds[0]"),
        ({"kinds": ["a"], "wait": "long"}, "$.wait"),
        ({"kinds": ["a"], "lease": "-1s"}, "$.lease"),
    ],
)
def test_a_poll_that_cannot_be_is_told_why(
    api: httpx.Client, body: dict[str, Any], path: str
) -> None:
    answer = api.post("/v1/tasks/poll", json=body)
    assert (answer.status_code, answer.json()["path"]) == (422, path)


def test_a_made_up_lease_is_refused(api: httpx.Client) -> None:
    made_up = api.post("/v1/tasks/some.task/complete", json={"lease": "abc"})
    assert (made_up.status_code, made_up.json()["path"]) == (422, "$.lease")


def test_a_lease_from_a_process_that_never_was_ends_no_task(
    api: httpx.Client, function: str
) -> None:
    id = start(api, function)
    task = poll(api, function)
    forged = encode_cursor(("nobody", id, "made.up"))
    answer = say(api, {**task, "lease": forged}, "complete", output="forged")
    assert (answer.status_code, answer.json()["type"]) == (404, GONE[0])
    assert say(api, task, "complete", output="honest").status_code == 204
    assert result(api, id)["output"] == "honest"


def run_worker(cluster: Flunq, *command: str) -> subprocess.CompletedProcess[str]:
    url, token = api_of(cluster)
    environment = {**os.environ, "FLUNQ_API": url, "FLUNQ_TOKEN": token}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=50, check=False
    )


def check_worker(cluster: Flunq, api: httpx.Client, *command: str) -> None:
    document = (WORKERS / "resize.yaml").read_text()
    api.post("/v1/workflows", content=document, headers=YAML)
    good = start(api, "resize", input={"width": 640, "height": 480})
    bad = start(api, "resize", input={"width": 0, "height": 480})
    done = run_worker(cluster, *command)
    assert done.returncode == 0, done.stderr
    assert result(api, good)["output"] == {"width": 320, "height": 240}
    assert result(api, bad)["status"] == "faulted"


@pytest.mark.node
def test_a_worker_in_javascript(cluster: Flunq, api: httpx.Client) -> None:
    check_worker(cluster, api, "node", str(WORKERS / "worker.mjs"), "2")


@pytest.mark.curl
@pytest.mark.jq
def test_a_worker_in_plain_curl(cluster: Flunq, api: httpx.Client) -> None:
    check_worker(cluster, api, "sh", str(WORKERS / "worker.sh"), "2")


def test_an_outcome_counts_even_when_the_api_was_killed_meanwhile(
    cluster: Flunq, api: httpx.Client, function: str
) -> None:
    id = start(api, function)
    task = poll(api, function)
    services = cluster("status", "-o", "json").json["services"]
    os.kill(next(each["pid"] for each in services if each["name"] == "control"), signal.SIGKILL)
    with api_client(cluster) as anew:
        assert say(anew, task, "heartbeat").status_code == 404
        assert say(anew, task, "complete", output="survived").status_code == 204
        assert result(anew, id)["output"] == "survived"
