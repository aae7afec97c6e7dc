"""What Prometheus and a person with the logs see of a cluster that runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Flunq

FUNCTIONS = """\
import logging
import flunq

@flunq.function("note")
async def note(n: int) -> int:
    logging.getLogger("mine").warning("noted %d", n)
    return n
"""
NOTE = """\
document: {dsl: 1.0.3, namespace: tests, name: note, version: 1.0.0}
do:
  - noted: {call: note, with: {n: '${ .n }'}}
"""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
STARTING = f"""
import flunq
with flunq.connect_blocking() as client:
    trace = "00-{TRACE}-00f067aa0ba902b7-01"
    run = client.start("note", {{"n": 7}}, id="n1", traceparent=trace)
    assert run.result(timeout=30) == 7
    try:
        client.start("note", traceparent="nonsense")
    except flunq.FlunqError as error:
        assert "no trace context" in error.message
    else:
        raise SystemExit("nonsense was taken")
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    home = tmp_path_factory.mktemp("observed")
    with running_cluster(home, functions=FUNCTIONS) as flunq:
        (home / "note.yaml").write_text(NOTE)
        assert flunq("apply", "note.yaml").code == 0
        arguments = [sys.executable, "-c", STARTING]
        subprocess.run(arguments, env=flunq.environment(), cwd=home, check=True, timeout=50)
        yield flunq


def scraped(cluster: Flunq) -> str:
    status = cluster("status", "-o", "json").json
    url = re.search(r"http://127\.0\.0\.1:\d+", json.dumps(status))
    assert url is not None, status
    with urllib.request.urlopen(f"{url[0]}/metrics", timeout=20) as answer:
        text: str = answer.read().decode()
    return text


def test_metrics_of_the_nodes_are_those_of_the_cluster(cluster: Flunq) -> None:
    lines = scraped(cluster).splitlines()
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    ended = "flunq_executions_ended_total"
    found = [value for name, value in samples.items() if name.startswith(ended)]
    assert sum(map(float, found)) >= 1
    task = [name for name in samples if name.startswith("flunq_tasks_total")]
    assert any('kind="function:note"' in name and 'outcome="completed"' in name for name in task)
    assert samples['flunq_up{node="control",service="control"}'] == "1"
    nodes = {name for name in samples if name.startswith("flunq_up") and 'service="node"' in name}
    assert nodes
    assert all(re.search(r'node="[^"]+"', name) for name in samples)


def test_a_line_that_a_function_logs_names_its_execution_task_and_trace(cluster: Flunq) -> None:
    lines = cluster("logs", "-o", "jsonl").out.splitlines()
    noted = [json.loads(line) for line in lines if "noted 7" in line]
    assert len(noted) == 1
    assert noted[0]["execution"] == "n1"
    assert noted[0]["task"].startswith("n1")
    assert noted[0]["trace"] == TRACE
