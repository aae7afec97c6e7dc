"""Events over HTTP: in by every mode of the binding, out as streams that outlive a connection."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.api import api_client, frames
from tests.support.cluster import HELLO, running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.support.cli import Flunq

STRUCTURED = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/shop", "ce-type": "com.example.a"}
LISTEN = """\
document: {dsl: 1.0.3, namespace: tests, name: listen, version: 1.0.0}
do:
  - hear:
      listen:
        to: {one: {with: {type: com.example.paid}}}
        read: data
"""
END = "io.serverlessworkflow.workflow.completed.v1"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    # Of several partitions, so that their events have to be merged.
    with running_cluster(tmp_path_factory.mktemp("events"), "--partitions", "2") as flunq:
        yield flunq


@pytest.fixture(scope="module")
def api(cluster: Flunq) -> Iterator[httpx.Client]:
    with api_client(cluster) as client:
        for text in (HELLO, LISTEN):
            media = {"content-type": "application/yaml"}
            assert client.post("/v1/workflows", content=text, headers=media).status_code == 201
        yield client


def event(id: str, type: str = "com.example.paid", **more: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id, "source": "/shop", "type": type, **more}


def read(lines: Iterator[str], count: int) -> list[dict[str, str]]:
    """Read so many events of a stream."""
    kept: list[str] = []
    while len(found := frames(kept)) < count or kept[-1]:
        kept.append(next(lines))
    return found


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (STRUCTURED, json.dumps(event("s", data={"n": 1}))),
        (BATCH, json.dumps([event("b0", "com.example.other"), event("b1", data={"n": 1})])),
        ({"content-type": "application/json"}, json.dumps([event("j", data={"n": 1})])),
        (BINARY | {"ce-type": "com.example.paid", "content-type": "application/json"}, '{"n": 1}'),
    ],
    ids=["structured", "batch", "json", "binary"],
)
def test_an_event_wakes_who_listens(
    api: httpx.Client, headers: dict[str, str], body: str, request: pytest.FixtureRequest
) -> None:
    id = request.node.callspec.id
    api.post("/v1/executions", json={"workflow": "listen", "id": id})
    assert api.post("/v1/events", content=body, headers=headers).status_code == 200
    ended = api.get(f"/v1/executions/{id}/result", params={"wait": "20s"}).json()
    assert ended["output"] == [{"n": 1}]


@pytest.mark.parametrize(
    ("headers", "body", "status", "path"),
    [
        (STRUCTURED, '{"id": "1", "source": "/x"}', 422, "$"),
        (STRUCTURED, '{"id": 1, "source": "/x", "type": "t"}', 422, "$.id"),
        (BATCH, '[{"id": "1", "source": "/x", "type": "t"}, {}]', 422, "$[1]"),
        (BATCH, "{}", 422, "$"),
        (STRUCTURED, "{", 400, None),
        ({"content-type": "text/plain"}, "hello", 415, None),
        ({"ce-type": "t", "ce-id": "1"}, "", 422, "headers"),
        (STRUCTURED, json.dumps(event("1", "io.flunq.commit")), 422, None),
        (STRUCTURED, json.dumps(event("1") | {"specversion": "0.3"}), 422, "$.specversion"),
    ],
)
def test_what_is_no_event_is_refused(
    api: httpx.Client, headers: dict[str, str], body: str, status: int, path: str | None
) -> None:
    answer = api.post("/v1/events", content=body, headers=headers)
    assert (answer.status_code, answer.json().get("path")) == (status, path), answer.text


def test_an_execution_is_followed_to_its_end_and_no_further(api: httpx.Client) -> None:
    api.post("/v1/executions", json={"workflow": "hello", "id": "followed"})
    with api.stream("GET", "/v1/executions/followed/events") as stream:
        found = frames(list(stream.iter_lines()))
    assert [each["id"] for each in found[:-1]] == [str(n) for n in range(1, len(found))]
    assert (found[-1]["event"], json.loads(found[-2]["data"])["type"]) == ("end", END)
    last = {"last-event-id": found[-1]["id"]}
    assert api.get("/v1/executions/followed/events", headers=last).status_code == 204


def test_a_broken_connection_goes_on_where_it_was(api: httpx.Client) -> None:
    path = "/v1/executions/broken-off/events"
    api.post("/v1/executions", json={"workflow": "listen", "id": "broken-off"})
    with api.stream("GET", path) as stream:
        first = read(stream.iter_lines(), 2)
    api.post("/v1/events", json=event("go-on", data=1))
    with api.stream("GET", path, headers={"last-event-id": first[-1]["id"]}) as stream:
        rest = frames(list(stream.iter_lines()))
    seen = [each["id"] for each in first + rest[:-1]]
    assert seen == [str(number) for number in range(1, len(seen) + 1)]
    assert json.loads(rest[-2]["data"])["type"] == END


@pytest.mark.parametrize("id", ["x", "-1", "1.5", "9" * 30])
def test_an_id_that_no_event_can_have_is_refused(api: httpx.Client, id: str) -> None:
    for path in ("/v1/executions/followed/events", "/v1/events/stream"):
        answer = api.get(path, headers={"last-event-id": id})
        assert (answer.status_code, answer.json()["path"]) == (422, "Last-Event-ID")


def test_the_stream_of_a_tenant_goes_on_where_it_was(api: httpx.Client) -> None:
    with api.stream("GET", "/v1/events/stream") as stream:
        lines = stream.iter_lines()
        while not next(lines).startswith("id:"):
            pass
        api.post("/v1/executions", json={"workflow": "hello", "id": "t-1"})
        first = read(lines, 2)
    api.post("/v1/executions", json={"workflow": "hello", "id": "t-2"})
    rest: list[dict[str, str]] = []
    last = {"last-event-id": first[-1]["id"]}
    with api.stream("GET", "/v1/events/stream", headers=last) as stream:
        lines = stream.iter_lines()
        while len(ended(first + rest)) < 2:
            rest += read(lines, 1)
    seqs = [data["seq"] for data in map(decoded, first + rest) if data["subject"] == "t-1"]
    assert seqs == list(range(1, len(seqs) + 1))
    assert ended(first + rest) == ["t-1", "t-2"] or ended(first + rest) == ["t-2", "t-1"]


def test_a_stream_shows_only_what_is_wanted(api: httpx.Client) -> None:
    wanted = {"type": END, "workflow": "tests/hello"}
    with api.stream("GET", "/v1/events/stream", params=wanted) as stream:
        lines = stream.iter_lines()
        while not next(lines).startswith("id:"):
            pass
        api.post("/v1/executions", json={"workflow": "hello", "id": "w-1"})
        (found,) = read(lines, 1)
    assert (decoded(found)["type"], decoded(found)["subject"]) == (END, "w-1")


def test_streams_survive_the_death_of_a_node(cluster: Flunq, api: httpx.Client) -> None:
    api.post("/v1/executions", json={"workflow": "listen", "id": "survivor"})
    found: list[dict[str, str]] = []
    with api.stream("GET", "/v1/executions/survivor/events") as stream:
        lines = stream.iter_lines()
        found += read(lines, 2)
        os.kill(node_pid(cluster), signal.SIGKILL)
        api.post("/v1/events", json=event("after-death", data=1))
        while found[-1].get("event") != "end":
            found += read(lines, 1)
    seqs = [int(each["id"]) for each in found[:-1]]
    assert seqs == list(range(1, len(seqs) + 1))


def decoded(frame: dict[str, str]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(frame["data"])
    return value


def ended(found: list[dict[str, str]]) -> list[str]:
    return [data["subject"] for data in map(decoded, found) if data["type"] == END]


def node_pid(cluster: Flunq) -> int:
    services = cluster("status", "-o", "json").json["services"]
    pid: int = next(each["pid"] for each in services if each["name"] == "node-1")
    return pid
