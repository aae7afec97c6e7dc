"""Workflows and executions over HTTP, on a cluster as a user starts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.api import api_client
from tests.support.cluster import BOOM, HELLO, PAUSE, running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.support.cli import Flunq

YAML = {"content-type": "application/yaml"}
SCHEDULED = """\
document: {dsl: 1.0.3, namespace: tests, name: nightly, version: 1.0.0}
schedule: {cron: "0 3 * * *"}
do:
  - note:
      set: {ran: true}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    with running_cluster(tmp_path_factory.mktemp("api")) as flunq:
        yield flunq


@pytest.fixture(scope="module")
def api(cluster: Flunq) -> Iterator[httpx.Client]:
    with api_client(cluster) as client:
        for text in (HELLO, PAUSE, BOOM, SCHEDULED):
            assert client.post("/v1/workflows", content=text, headers=YAML).status_code == 201
        yield client


def start(api: httpx.Client, workflow: str, id: str, **more: Any) -> httpx.Response:
    return api.post("/v1/executions", json={"workflow": workflow, "id": id, **more})


def test_a_workflow_is_registered_once_and_read_as_it_was_written(api: httpx.Client) -> None:
    again = api.post("/v1/workflows", content=HELLO, headers=YAML)
    assert (again.status_code, again.json()["created"]) == (200, False)
    path = again.headers["location"]
    assert path == "/v1/workflows/tests/hello/versions/1.0.0"
    assert api.get(f"{path}/source").text == HELLO
    assert api.get("/v1/workflows/tests/hello").json()["document"]["document"]["name"] == "hello"
    assert [each["version"] for each in api.get(path[:-6]).json()["items"]] == ["1.0.0"]


def test_all_definitions_come_in_pages(api: httpx.Client) -> None:
    names, cursor = [], ""
    while cursor is not None:
        page = api.get("/v1/workflows", params={"limit": 3, "cursor": cursor}).json()
        names += [each["name"] for each in page["items"]]
        cursor = page["next"]
    assert names == sorted(names)
    assert {"boom", "hello", "nightly", "pause"} <= set(names)


def test_what_is_wrong_with_a_document_is_told_with_its_place(api: httpx.Client) -> None:
    broken = HELLO.replace("set:", "sett:")
    verdict = api.post("/v1/validate", content=broken, headers=YAML).json()
    assert verdict["valid"] is False
    assert verdict["errors"]
    refused = api.post("/v1/workflows", content=broken, headers=YAML)
    assert (refused.status_code, refused.json()["errors"]) == (422, verdict["errors"])
    assert api.post("/v1/validate", content=HELLO, headers=YAML).json()["valid"] is True


def test_a_workflow_is_paused_and_goes_on(api: httpx.Client) -> None:
    path = "/v1/workflows/tests/hello"
    paused = api.post(f"{path}/pause", json={"reason": "why not", "starts_only": True})
    assert paused.json()["unheard"] == []
    found = api.get(path + "/versions").json()["items"][0]
    assert (found["paused"], found["pause_reason"]) == ("starts", "why not")
    started = start(api, "hello", "later", priority="high", input={"name": "Ada"})
    assert (started.status_code, started.json()["status"]) == (201, "suspended")
    assert api.post(f"{path}/versions/1.0.0/resume").status_code == 404
    assert api.post(f"{path}/resume").json()["workflow"] == "tests/hello"
    ended = api.get("/v1/executions/later/result", params={"wait": "20s"})
    assert ended.json()["status"] == "completed"


def test_a_deleted_version_is_gone(api: httpx.Client) -> None:
    text = HELLO.replace("name: hello", "name: gone")
    location = api.post("/v1/workflows", content=text, headers=YAML).headers["location"]
    assert api.delete(location).json() == {"deleted": ["tests/gone:1.0.0"]}
    assert api.get(location).status_code == 404


def test_the_same_start_is_one_execution(api: httpx.Client) -> None:
    first = start(api, "hello", "same", input={"name": "Ada"})
    second = start(api, "tests/hello:1.0.0", "same", input={"name": "Ada"})
    other = start(api, "hello", "same", input={"name": "Bob"})
    assert [each.status_code for each in (first, second, other)] == [201, 200, 409]
    assert first.headers["location"] == "/v1/executions/same"
    assert other.json()["type"] == "urn:flunq:error:id-conflict"


def test_an_idempotency_key_is_as_good_as_an_id(api: httpx.Client) -> None:
    def post(name: str) -> httpx.Response:
        body = {"workflow": "hello", "input": {"name": name}}
        return api.post("/v1/executions", json=body, headers={"idempotency-key": "order 4711"})

    first, second, other = post("Ada"), post("Ada"), post("Bob")
    assert (first.status_code, second.status_code, other.status_code) == (201, 200, 409)
    assert first.json()["id"] == second.json()["id"]


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"workflow": "nowhere"}, 404, "nowhere"),
        ({"workflow": "hello", "id": "not an id"}, 422, "$.id"),
        ({"workflow": "hello", "inptu": 1}, 422, "inptu"),
        ({"workflow": "hello", "priority": 10}, 422, "$.priority"),
        ({}, 422, "workflow"),
        ({"workflow": {"name": "hello", "namespace": "tests"}}, 201, "id"),
    ],
)
def test_a_start_that_cannot_be_is_told_why(
    api: httpx.Client, body: dict[str, Any], status: int, detail: str
) -> None:
    answer = api.post("/v1/executions", json=body)
    assert answer.status_code == status, answer.text
    assert detail in answer.text


def test_a_result_is_waited_for(api: httpx.Client) -> None:
    start(api, "hello", "waited", input={"name": "Ada"})
    ended = api.get("/v1/executions/waited/result", params={"wait": "20s"})
    assert ended.json()["output"] == {"greeting": "Hello, Ada"}
    start(api, "pause", "sleeper")
    waiting = api.get("/v1/executions/sleeper/result", params={"wait": "50ms"})
    assert (waiting.status_code, waiting.json()["id"]) == (202, "sleeper")
    assert api.get("/v1/executions/nobody/result", params={"wait": "1s"}).status_code == 404
    assert api.get("/v1/executions/sleeper/result", params={"wait": "soon"}).status_code == 422


def test_a_failure_is_shown_as_the_document_raised_it(api: httpx.Client) -> None:
    start(api, "boom", "broken")
    ended = api.get("/v1/executions/broken/result", params={"wait": "20s"}).json()
    assert (ended["status"], ended["error"]["status"]) == ("faulted", 418)
    assert api.get("/v1/executions/broken").json()["error"] == ended["error"]


def test_an_execution_is_suspended_resumed_cancelled_and_deleted(api: httpx.Client) -> None:
    path = "/v1/executions/steered"
    start(api, "pause", "steered")
    assert api.post(f"{path}/suspend", json={"reason": "lunch"}).json()["status"] == "suspended"
    assert api.delete(path).status_code == 409
    assert api.post(f"{path}/resume").json()["status"] != "suspended"
    assert api.post(f"{path}/cancel").json()["status"] == "cancelled"
    assert api.delete(path).status_code == 200
    assert api.get(path).status_code == 404


def test_a_faulted_execution_is_retried_forked_and_rewound(api: httpx.Client) -> None:
    start(api, "boom", "again")
    api.get("/v1/executions/again/result", params={"wait": "20s"})
    forked = api.post("/v1/executions/again/fork", json={"id": "copy"})
    retried = api.post("/v1/executions/again/retry", json={"reason": "once more"})
    assert (forked.status_code, forked.headers.get("location")) == (201, "/v1/executions/copy")
    assert (retried.status_code, retried.json()["id"]) == (200, "again")
    assert api.post("/v1/executions/again/rewind").status_code == 400
    assert api.post("/v1/executions/again/rewind", json={"at": 1}).status_code in (200, 409)
    assert api.post("/v1/executions/nobody/retry").status_code == 404


def test_every_execution_is_listed_once(api: httpx.Client) -> None:
    for number in range(7):
        start(api, "hello", f"page-{number}")
        api.get(f"/v1/executions/page-{number}/result", params={"wait": "20s"})
    found, cursor = [], ""
    while cursor is not None:
        given: dict[str, str | int] = {"limit": 3, "cursor": cursor, "prefix": "page-"}
        given["status"] = "completed"
        page = api.get("/v1/executions", params=given).json()
        found += [each["id"] for each in page["items"]]
        cursor = page["next"]
    assert sorted(found) == [f"page-{number}" for number in range(7)]
    assert api.get("/v1/executions", params={"cursor": "made up"}).status_code == 422
    assert api.get("/v1/executions", params={"status": "failed"}).status_code == 422
    assert api.get("/v1/executions", params={"status": ["faulted", "running"]}).status_code == 200


def test_the_history_is_read_in_order(api: httpx.Client) -> None:
    start(api, "hello", "told")
    api.get("/v1/executions/told/result", params={"wait": "20s"})
    events = api.get("/v1/executions/told/history").json()["items"]
    assert [each["seq"] for each in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "io.serverlessworkflow.workflow.completed.v1"
    assert api.get("/v1/executions/nobody/history").status_code == 404


def test_a_schedule_is_paused_resumed_and_triggered(api: httpx.Client) -> None:
    path = "/v1/schedules/tests/nightly"
    assert [each["name"] for each in api.get("/v1/schedules").json()["items"]] == ["nightly"]
    assert api.post(f"{path}/pause", json={"reason": "holidays"}).json()["status"] == "paused"
    assert api.post(f"{path}/resume").json()["status"] == "active"
    first = api.get(path).json()["next"][0]
    assert api.post(f"{path}/skip", json={"until": first}).json()["skipping"] == [first]
    assert api.post(f"{path}/unskip").json()["next"][0] == first
    fired = api.post(f"{path}/trigger", json={"id": "by-hand"}).json()
    assert fired["id"] == "by-hand"
    ended = api.get("/v1/executions/by-hand/result", params={"wait": "20s"}).json()
    assert ended["output"] == {"ran": True}
    assert len(api.get(path, params={"count": 3}).json()["next"]) == 3


def test_secrets_go_in_and_never_out(api: httpx.Client) -> None:
    kept = api.put("/v1/secrets/api-key", json={"value": "canary-1234"})
    assert (kept.status_code, kept.content) == (204, b"")
    listed = api.get("/v1/secrets")
    assert [each["name"] for each in listed.json()["items"]] == ["api-key"]
    assert "canary" not in listed.text
    assert api.get("/v1/secrets/api-key").status_code == 405
    assert api.delete("/v1/secrets/api-key").status_code == 204
    assert api.delete("/v1/secrets/api-key").status_code == 404


def test_a_query_answers_in_the_form_that_is_asked_for(api: httpx.Client) -> None:
    start(api, "hello", "queried")
    question = {
        "query": "select id, workflow from executions where id = $id",
        "parameters": {"id": "queried"},
    }
    found = {
        media: api.post("/v1/sql", json=question, headers={"accept": media}).text
        for media in ("application/x-ndjson", "text/csv")
    }
    assert api.post("/v1/sql", json=question).json()["rows"] == [["queried", "hello"]]
    assert found["application/x-ndjson"] == '{"id":"queried","workflow":"hello"}\n'
    assert found["text/csv"] == "id,workflow\r\nqueried,hello\r\n"


@pytest.mark.parametrize(
    "query", ["selec", "select * from nothing", "drop table events", "select 1; select 2"]
)
def test_a_query_that_cannot_be_is_told_why(api: httpx.Client, query: str) -> None:
    answer = api.post("/v1/sql", json={"query": query})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:flunq:error:rejected")


def test_the_cluster_says_who_is_alive_and_who_asks(api: httpx.Client) -> None:
    assert api.get("/v1/cluster").json()["partitions"] == 1
    (node,) = api.get("/v1/nodes").json()["items"]
    assert "function:double" in node["kinds"]
    assert api.get("/v1/me").json()["role"] == "admin"
    assert api.get("/v1/dead-letters").json() == {"items": []}
    assert api.get("/v1/dead-letters/12").status_code == 404
