"""Alerts and traces of a cluster that runs, as those see them who are told, over a crash."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.api import api_client
from tests.support.cli import Flunq
from tests.support.cluster import BOOM
from tests.support.collector import Collector, collecting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RULES = """\
alerts:
  - name: any-fault
    query: select workflow from executions where status = 'faulted' and deleted_at is null
    every: PT1S
    webhook: {{url: "{url}/query"}}
  - name: teapots
    on: {{type: task.faulted}}
    when: .data.error.status == 418
    within: PT2S
    webhook: {{url: "{url}/events", format: json, secret: key}}
"""
CAPACITY = """\
alerts:
  - name: almost-full
    query: |
      select round(sum(share), 1) >= 1 as full, any_value(max_bytes) as quota from streams
      where kind in ('journal', 'blobs') having sum(share) > 0.8
    every: PT1S
    webhook: {{url: "{url}/full"}}
  - name: behind
    query: select serves, pending from consumers where pending >= 2
    every: PT1S
    webhook: {{url: "{url}/behind"}}
"""
FAR = """\
document: {dsl: 1.0.3, namespace: tests, name: far, version: 1.0.0}
do:
  - there: {call: far, with: {n: 1}}
"""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN = f"00-{TRACE}-00f067aa0ba902b7-01"
PARENT = """\
document: {{dsl: 1.0.3, namespace: tests, name: parent, version: 1.0.0}}
do:
  - ask: {{call: http, with: {{method: post, endpoint: "{url}/service", body: {{}}}}}}
  - kid: {{run: {{workflow: {{namespace: tests, name: kid, version: 1.0.0}}}}}}
  - told: {{emit: {{event: {{with: {{source: "https://x.example", type: com.example.told}}}}}}}}
"""
KID = """\
document: {dsl: 1.0.3, namespace: tests, name: kid, version: 1.0.0}
do:
  - inner: {set: {done: true}}
"""
HEIR = """\
document: {dsl: 1.0.3, namespace: tests, name: heir, version: 1.0.0}
schedule: {on: {one: {with: {type: com.example.told}}}}
do:
  - spend: {set: {done: true}}
"""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def cluster(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    home = tmp_path_factory.mktemp("watched")
    flunq = Flunq(home)
    (home / "boom.yaml").write_text(BOOM)
    (home / "alerts.yaml").write_text(RULES.format(url=collector.url))
    (home / "parent.yaml").write_text(PARENT.format(url=collector.url))
    (home / "kid.yaml").write_text(KID)
    (home / "heir.yaml").write_text(HEIR)
    up = ("up", "--detach", "-q", "--otel-endpoint", collector.url)
    started = flunq(*up, environ={"FLUNQ_SECRET_KEY": "s3cret"})
    try:
        assert started.code == 0, started.err
        assert flunq("apply", "kid.yaml", "parent.yaml", "heir.yaml", "boom.yaml").code == 0
        yield flunq
    finally:
        flunq("down")


def told(collector: Collector, path: str) -> list[str]:
    bodies = collector.bodies(path)
    return [(body.get("data") or body)["status"] for body in bodies]


def statuses(cluster: Flunq) -> dict[str, Any]:
    return {each["name"]: each["status"] for each in cluster("alerts", "list", "-o", "json").json}


def kill_control(cluster: Flunq) -> None:
    services = cluster("status", "-o", "json").json["services"]
    (control,) = [each["pid"] for each in services if each["name"] == "control"]
    os.kill(control, signal.SIGKILL)


def roots(collector: Collector) -> dict[str, dict[str, Any]]:
    """Return the spans of executions, by execution."""
    found = {}
    for span in collector.spans():
        facts = {each["key"]: each["value"] for each in span["attributes"]}
        if "flunq.workflow" in facts:
            found[facts["flunq.execution"]["stringValue"]] = span
    return found


def run(cluster: Flunq, collector: Collector, execution: str, *more: str) -> None:
    started = cluster("start", "parent", "--id", execution, "--wait", "-q", *more)
    assert started.code == 0, started.err
    collector.until(lambda: execution in roots(collector))


@contextmanager
def following(cluster: Flunq, kind: str) -> Iterator[Callable[[], str]]:
    """Follow events of a kind; yields what reads the next line, once the first was seen."""
    tail = [sys.executable, "-u", "-m", "flunq", "tail", "-o", "jsonl"]
    tail += ["--type", kind, "--type", "workflow.started"]
    with subprocess.Popen(
        tail, stdout=subprocess.PIPE, env=cluster.environment(), cwd=cluster.home, text=True
    ) as process:
        assert process.stdout is not None
        lines = process.stdout
        try:
            while not select.select([lines], [], [], 0)[0]:
                assert cluster("start", "kid").code == 0
            yield lambda: next(line for line in lines if kind in line)
        finally:
            process.kill()


def test_tasks_children_and_services_hang_together(cluster: Flunq, collector: Collector) -> None:
    run(cluster, collector, "t1", "--traceparent", GIVEN)
    spans = [span for span in collector.spans() if span["traceId"] == TRACE]
    ids = {span["name"]: span["spanId"] for span in spans}
    parents = {span["name"]: span.get("parentSpanId") for span in spans}
    assert parents["tests/parent"] == "00f067aa0ba902b7"
    assert {parents[name] for name in ("ask", "kid", "told")} == {ids["tests/parent"]}
    assert (parents["tests/kid"], parents["inner"]) == (ids["kid"], ids["tests/kid"])
    sent = [headers for path, headers, _ in collector.posts if path == "/service"]
    assert sent[-1]["traceparent"] == f"00-{TRACE}-{ids['ask']}-01"
    times = {n: int(s[n]) for s in spans if s["name"] == "kid" for n in s if n.endswith("Nano")}
    child = next(span for span in spans if span["name"] == "tests/kid")
    assert times["startTimeUnixNano"] <= int(child["startTimeUnixNano"])
    assert int(child["endTimeUnixNano"]) <= times["endTimeUnixNano"]


def test_what_an_event_starts_goes_on_the_trace_of_the_event(
    cluster: Flunq, collector: Collector
) -> None:
    def named(name: str) -> list[dict[str, Any]]:
        return [s for s in collector.spans() if (s["traceId"], s["name"]) == (TRACE, name)]

    collector.until(lambda: bool(named("tests/heir")))
    (event,), (heir,) = named("told"), named("tests/heir")
    assert heir["parentSpanId"] == event["spanId"]


def test_an_execution_of_no_trace_begins_one(cluster: Flunq, collector: Collector) -> None:
    run(cluster, collector, "t2")
    own = roots(collector)["t2"]
    assert "parentSpanId" not in own
    assert own["traceId"] != TRACE
    (event,) = [s for s in collector.spans() if s["traceId"] == own["traceId"] and s["kind"] == 4]
    output = cluster("result", "t2", "-o", "json").json
    assert output["output"]["traceparent"] == f"00-{own['traceId']}-{event['spanId']}-01"


def test_a_query_that_cannot_run_is_refused_at_its_place(cluster: Flunq) -> None:
    (cluster.home / "bad.yaml").write_text("alerts:\n  - name: a\n    query: from nowhere\n")
    refused = cluster("alerts", "apply", "bad.yaml")
    assert (refused.code, statuses(cluster)) == (3, {})
    assert "bad.yaml:3:12: " in refused.err


def test_rules_fire_are_told_and_resolved(cluster: Flunq, collector: Collector) -> None:
    assert cluster("alerts", "apply", "alerts.yaml").code == 0
    with following(cluster, "alert") as heard:
        cluster("start", "boom", "--id", "b1")
        collector.until(lambda: told(collector, "/query") == ["firing"])
        collector.until(lambda: told(collector, "/events") == ["firing", "resolved"])
        assert "io.flunq.alert." in heard()
    signed = [headers for path, headers, _ in collector.posts if path == "/events"]
    assert all(headers["flunq-signature"].startswith("t=") for headers in signed)
    assert statuses(cluster) == {"any-fault": "firing", "teapots": "ok"}
    trial = cluster("alerts", "test", "any-fault", "-o", "json").json
    assert (trial["holds"], trial["value"]) == (True, [{"workflow": "boom"}])


def test_nothing_is_forgotten_doubled_or_lost_in_a_crash(
    cluster: Flunq, collector: Collector
) -> None:
    collector.refusals = 2
    kill_control(cluster)
    cluster("start", "boom", "--id", "b2")
    run(cluster, collector, "t3")
    collector.until(lambda: told(collector, "/events") == ["firing", "resolved"] * 2)
    assert told(collector, "/query") == ["firing"]
    history = cluster("alerts", "history", "teapots", "-o", "json").json
    assert [each["number"] for each in history] == [2, 2, 1, 1]
    spans = [(span["traceId"], span["spanId"]) for span in collector.spans()]
    assert len(set(spans)) == len(spans)
    assert {"b1", "b2", "t1", "t2", "t3"} <= roots(collector).keys()


def test_a_rule_that_fired_before_a_crash_is_resolved_after_it(
    cluster: Flunq, collector: Collector
) -> None:
    assert cluster("delete", "b1", "b2", "--yes").code == 0
    collector.until(lambda: told(collector, "/query") == ["firing", "resolved"])
    query = "select status from alerts where rule = 'any-fault' order by time"
    rows = cluster("sql", query, "-o", "json").json
    assert [row["status"] for row in rows] == ["firing", "resolved"]


def test_a_rule_that_is_gone_says_nothing(cluster: Flunq) -> None:
    assert cluster("alerts", "delete", "teapots").code == 0
    assert cluster("alerts", "show", "teapots").code == 4
    assert list(statuses(cluster)) == ["any-fault"]


def test_a_queue_that_nobody_empties_is_told_of(cluster: Flunq, collector: Collector) -> None:
    (cluster.home / "far.yaml").write_text(FAR)
    (cluster.home / "capacity.yaml").write_text(CAPACITY.format(url=collector.url))
    assert cluster("apply", "far.yaml").code == 0
    assert cluster("alerts", "apply", "capacity.yaml").code == 0
    with api_client(cluster) as api:
        api.post("/v1/executions", json={"workflow": "far", "id": "f0"})
        taken = api.post("/v1/tasks/poll", json={"kinds": ["far"], "worker": "w", "wait": "20s"})
        assert taken.json()["execution"] == "f0"
        for id in ("f1", "f2"):
            api.post("/v1/executions", json={"workflow": "far", "id": id})
    collector.until(lambda: told(collector, "/behind") == ["firing"])
    (told_of,) = collector.bodies("/behind")
    assert told_of["data"]["rows"] == [{"serves": "function:far", "pending": 2}]
    assert cluster("cancel", "f0", "f1", "f2", "--yes").code == 0
    collector.until(lambda: told(collector, "/behind") == ["firing", "resolved"])


def test_a_journal_that_is_almost_full_is_told_of(cluster: Flunq, collector: Collector) -> None:
    assert cluster("tenants", "update", "default", "--quota-bytes", "1KiB").code == 0
    collector.until(lambda: told(collector, "/full") == ["firing"])
    (told_of,) = collector.bodies("/full")
    assert told_of["data"]["rows"] == [{"full": True, "quota": 1024}]
    assert cluster("tenants", "update", "default", "--quota-bytes", "none").code == 0
    collector.until(lambda: told(collector, "/full") == ["firing", "resolved"])
