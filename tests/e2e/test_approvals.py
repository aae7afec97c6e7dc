"""``flunq approvals``: a person says yes or no, and the execution that waited goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.api import api_of
from tests.support.cluster import running_cluster
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Flunq

PAYMENT = """\
document: {dsl: 1.0.3, namespace: tests, name: payment, version: 1.0.0}
do:
  - ask:
      metadata:
        approval:
          title: Pay the bill
          who: finance
          form:
            type: object
            required: [limit]
            properties: {limit: {type: integer}}
      listen:
        to:
          one:
            with: {type: com.example.payment.decided, source: https://example.com/desk}
            correlate:
              request: {from: '${ .data.request }', expect: '${ $workflow.input.request }'}
      output: {as: '${ .[0] }'}
"""
LEAVE = """\
document: {dsl: 1.0.3, namespace: tests, name: leave, version: 1.0.0}
do:
  - both:
      fork:
        branches:
          - boss:
              metadata: {approval: {title: Your team}}
              listen: {to: {one: {with: {type: com.example.boss}}}}
          - office:
              metadata: {approval: {title: The office}}
              listen: {to: {one: {with: {type: com.example.office}}}}
"""
UNMARKED = """\
document: {dsl: 1.0.3, namespace: tests, name: unmarked, version: 1.0.0}
do:
  - hear: {listen: {to: {one: {with: {type: com.example.heard}}}}}
"""
MAILED = """\
document: {dsl: 1.0.3, namespace: tests, name: mailed, version: 1.0.0}
use: {secrets: [approvalLinks]}
do:
  - mail:
      run:
        shell:
          command: printf %s "$LINK" | tee mail.txt
          environment: {LINK: '${ "\\($workflow.input.api)\\($secrets.approvalLinks.ask)" }'}
  - ask:
      metadata: {approval: {title: 'Go <on>?'}}
      listen: {to: {one: {with: {type: com.example.go}}}}
"""
ODD = """\
document: {dsl: 1.0.3, namespace: tests, name: odd, version: 1.0.0}
do:
  - ask:
      metadata: {approval: {title: Odd}}
      listen: {to: {one: {with: {type: com.example.odd, data: '${ .amount > 5 }'}}}}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    with running_cluster(tmp_path_factory.mktemp("approvals")) as flunq:
        documents = {"payment": PAYMENT, "leave": LEAVE, "unmarked": UNMARKED, "odd": ODD}
        documents["mailed"] = MAILED.replace("mail.txt", str(flunq.home / "mail.txt"))
        for name, text in documents.items():
            (flunq.home / f"{name}.yaml").write_text(text)
            assert flunq("apply", f"{name}.yaml").code == 0
        yield flunq


def start(cluster: Flunq, workflow: str, name: str, **given: object) -> None:
    started = cluster("start", workflow, "--id", name, "-i", json.dumps(given))
    assert started.code == 0, started.err
    wait_until(lambda: cluster("get", name, "-o", "json").json["status"] == "waiting")


def test_what_waits_is_listed_and_a_yes_lets_it_go_on(cluster: Flunq) -> None:
    start(cluster, "payment", "p1", request="r-1")
    start(cluster, "payment", "p2", request="r-2")
    start(cluster, "unmarked", "u1")
    listed = {each["execution"]: each for each in cluster("approvals", "list", "-o", "json").json}
    assert set(listed) == {"p1", "p2"}
    assert (listed["p1"]["title"], listed["p1"]["who"]) == ("Pay the bill", "finance")
    arguments = ("--data", '{"limit": 5}', "--by", "ada", "--reason", "fine")
    said = cluster("approvals", "approve", "p1", *arguments)
    assert (said.code, said.out) == (0, "p1 /do/0/ask approved\n"), said.err
    output = cluster("result", "p1", "--timeout", "20s", "-o", "json").json["output"]
    decision = {"approved": True, "limit": 5, "by": "ada", "reason": "fine", "request": "r-1"}
    assert output == decision
    assert cluster("get", "p2", "-o", "json").json["status"] == "waiting"


def test_an_answer_that_does_not_fit_the_form_is_refused_and_a_no_needs_none(
    cluster: Flunq,
) -> None:
    start(cluster, "payment", "p3", request="r-3")
    refused = cluster("approvals", "approve", "p3", "--data", '{"limit": "much"}')
    assert (refused.code, "does not fit the form" in refused.err) == (3, True), refused.err
    assert cluster("approvals", "approve", "p3", "--data", "[1]").code == 2
    assert cluster("approvals", "reject", "p3").code == 0
    output = cluster("result", "p3", "--timeout", "20s", "-o", "json").json["output"]
    assert output["approved"] is False
    again = cluster("approvals", "approve", "p3", "--data", '{"limit": 1}')
    assert (again.code, "waits for a person" in again.err) == (3, True), again.err


def test_of_several_that_wait_one_has_to_be_named(cluster: Flunq) -> None:
    start(cluster, "leave", "l1")
    unnamed = cluster("approvals", "approve", "l1")
    assert (unnamed.code, "--task" in unnamed.err) == (3, True)
    for task in ("boss", "office"):
        assert cluster("approvals", "approve", "l1", "--task", task).code == 0
    assert cluster("wait", "l1", "--timeout", "20s").code == 0


def test_an_answer_that_the_listener_would_not_take_is_not_published(cluster: Flunq) -> None:
    start(cluster, "odd", "o1")
    small = cluster("approvals", "approve", "o1", "--data", '{"amount": 1}')
    assert small.code == 3, small.out
    assert cluster("approvals", "approve", "o1", "--data", '{"amount": 6}').code == 0
    assert cluster("wait", "o1", "--timeout", "20s").code == 0


def test_two_who_answer_at_the_same_time_have_one_effect(cluster: Flunq) -> None:
    start(cluster, "payment", "p4", request="r-4")
    command = [sys.executable, "-m", "flunq", "approvals"]
    answers = [
        subprocess.Popen(
            [*command, word, "p4", "--data", '{"limit": 1}'],
            cwd=cluster.home,
            env=cluster.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for word in ("approve", "reject")
    ]
    codes = [each.wait(40) for each in answers]
    assert 0 in codes
    taken = [each["type"] for each in cluster("history", "p4", "-o", "json").json]
    assert cluster("wait", "p4", "--timeout", "20s").code == 0
    assert sum("consumed" in each for each in taken) <= 1


BROWSER = {"accept": "text/html,*/*;q=0.8"}


def test_whoever_has_a_link_answers_once_and_without_a_token(cluster: Flunq) -> None:
    start(cluster, "payment", "k1", request="r-k1")
    made = cluster("approvals", "link", "k1", "--ttl", "1h", "-o", "json").json
    url = made["url"]
    page = httpx.get(url, headers=BROWSER)
    assert (page.status_code, "Pay the bill" in page.text) == (200, True)
    assert httpx.get(url).json()["form"]["required"] == ["limit"]
    wrong = httpx.post(url, headers=BROWSER, data={"approved": "true", "data.limit": "much"})
    assert (wrong.status_code, 'value="much"' in wrong.text) == (422, True)
    right = httpx.post(url, headers=BROWSER, data={"approved": "true", "data.limit": "7"})
    assert (right.status_code, "Thank you" in right.text) == (200, True), right.text
    output = cluster("result", "k1", "--timeout", "20s", "-o", "json").json["output"]
    assert (output["limit"], output["by"]) == (7, f"link {made['id']}")
    assert httpx.post(url, json={"approved": False}).status_code == 410
    gone = httpx.get(url, headers=BROWSER)
    assert (gone.status_code, "used already" in gone.text) == (410, True)


def test_what_was_done_by_a_link_is_in_the_audit_and_the_link_itself_nowhere(
    cluster: Flunq,
) -> None:
    start(cluster, "payment", "k2", request="r-k2")
    (row,) = [
        each
        for each in cluster("approvals", "list", "--links", "-o", "json").json
        if each["execution"] == "k2"
    ]
    assert httpx.post(row["link"], json={"approved": False}).json()["approved"] is False
    assert httpx.post(row["link"], json={"approved": True}).status_code == 410
    found: list[dict[str, str]] = []
    while len(found) < 2:
        listed = cluster("audit", "--what", "answerByLink", "-o", "json").json
        found = [each for each in listed if each["target"].startswith("k2/")]
    assert sorted(each["result"] for each in found) == ["200", "410"]
    assert len({each["who"] for each in found}) == 1
    assert found[0]["who"].startswith("link ")
    secret = row["link"].rpartition("/")[2].encode()
    written = [path for path in cluster.home.rglob("*") if path.is_file()]
    assert written and not [path for path in written if secret in path.read_bytes()]


def test_a_workflow_sends_the_link_to_its_own_question_and_no_event_has_it(cluster: Flunq) -> None:
    start(cluster, "mailed", "k3", api=api_of(cluster)[0])
    while not [each for each in _waiting(cluster) if each["execution"] == "k3"]:
        pass
    url = (cluster.home / "mail.txt").read_text()
    assert "Go &lt;on&gt;?" in httpx.get(url, headers=BROWSER).text
    assert url.rpartition("/")[2] not in cluster("history", "k3", "-o", "json").out
    assert httpx.post(url, json={"approved": True}).status_code == 200
    assert cluster("wait", "k3", "--timeout", "20s").code == 0


def _waiting(cluster: Flunq) -> list[dict[str, str]]:
    found: list[dict[str, str]] = cluster("approvals", "list", "-o", "json").json
    return found


def test_no_guess_and_no_answer_to_a_question_of_yesterday_counts(cluster: Flunq) -> None:
    start(cluster, "payment", "k4", request="r-k4")
    url = cluster("approvals", "link", "k4").out.strip()
    for wrong in (url[:-1], url + "A", url[:-5] + "AAAAA"):
        assert httpx.get(wrong).status_code == 404
    assert cluster("approvals", "reject", "k4").code == 0
    assert cluster("wait", "k4", "--timeout", "20s").code == 0
    assert httpx.post(url, json={"approved": True}).status_code == 409
