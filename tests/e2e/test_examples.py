"""Every example document, run as its first lines say."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.http_stub import Answer, HttpStub

if TYPE_CHECKING:
    from tests.support.cli import Flunq, Outcome

EXAMPLES = Path(__file__).parents[2] / "examples"
DOCUMENTS = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))
APPROVED = {
    "id": "decision-1",
    "source": "/desk",
    "type": "com.example.approval.decided",
    "data": {"request": "r-7", "approved": True, "by": "grace"},
}
OTHER_REQUEST = {**APPROVED, "id": "decision-0", "data": {"request": "r-6", "approved": False}}
REFUSED = {**APPROVED, "data": {"request": "r-7", "approved": False}}


def run(flunq: Flunq, name: str, value: Any = None, *more: str) -> Outcome:
    """Run an example on a private cluster."""
    functions = str(EXAMPLES / "functions.py")
    document = str(EXAMPLES / f"{name}.yaml")
    given = ["-i", json.dumps(value)] if value is not None else []
    return flunq("run", document, "-o", "json", "--functions", functions, *given, *more)


def output(outcome: Outcome) -> Any:
    """Return the output of an execution that completed."""
    assert outcome.code == 0, outcome.err
    assert outcome.json["status"] == "completed"
    return outcome.json["output"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_example_is_valid(name: str, flunq: Flunq) -> None:
    checked = flunq("validate", str(EXAMPLES / f"{name}.yaml"))
    assert checked.code == 0, checked.err + checked.out


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("hello", {"name": "Ada"}, {"message": "Hello, Ada!"}),
        ("hello", None, {"message": "Hello, world!"}),
        ("first-wins", None, {"winner": "quick"}),
        ("report-graph", None, {"text": "balance 100"}),
        ("price", {"item": "lamp", "net": 40}, {"item": "lamp", "gross": 50}),
        ("mocked", None, {"lamps": 12, "calls": ["/do/0/count"]}),
        ("deadline", None, {"answer": "cached", "because": 408}),
        ("triage", {"temperature": 39}, {"advice": "rest", "rounds": 3}),
        ("triage", {"temperature": 37.7}, {"advice": "measure again in an hour"}),
        (
            "run-script",
            {"text": "A rose, is a rose, is a rose.", "top": 1},
            {"most": ["rose: 3 times"]},
        ),
        (
            "etl-steps",
            {"names": ["Ada", "Grace"]},
            {"greetings": ["Hello, Ada!", "Hello, Grace!"], "count": 2},
        ),
    ],
)
def test_an_example_gives_its_output(name: str, value: Any, expected: Any, flunq: Flunq) -> None:
    assert output(run(flunq, name, value)) == expected


def test_branches_are_joined_in_order(flunq: Flunq) -> None:
    joined = output(run(flunq, "fan-out", {"text": "flunq"}))
    assert joined["shout"] == "FLUNQ"
    assert len(joined["short"]) == len(joined["long"]) == 64


def test_the_wait_is_over_after_a_moment(flunq: Flunq) -> None:
    assert output(run(flunq, "long-wait", {"message": "Tea!"}))["message"] == "Tea!"


def test_a_scheduled_document_runs_at_once_when_asked_to(flunq: Flunq) -> None:
    assert output(run(flunq, "nightly-report"))["subject"] == "Report: 3 orders, 50 EUR"


def order(card: str) -> dict[str, Any]:
    """Return the order that lies beside the example, paid with another card."""
    given: dict[str, Any] = json.loads((EXAMPLES / "order.json").read_text())
    return {**given, "card": card}


def test_an_order_is_shipped(flunq: Flunq) -> None:
    assert output(run(flunq, "order-saga", order("4000000000000001")))["status"] == "shipped"


def test_a_refused_card_undoes_the_reservation(flunq: Flunq) -> None:
    undone = output(run(flunq, "order-saga", order("4000000000000002")))
    assert undone == {
        "status": "undone",
        "reason": "Card declined",
        "released": True,
        "refunded": False,
    }


@pytest.mark.parametrize(
    ("decision", "expected"),
    [(APPROVED, {"status": "granted", "amount": 900}), (REFUSED, {"status": "refused"})],
)
def test_a_person_decides(decision: Any, expected: Any, flunq: Flunq, tmp_path: Path) -> None:
    (tmp_path / "events.json").write_text(json.dumps([OTHER_REQUEST, decision]))
    value = {"request": "r-7", "amount": 900}
    outcome = run(flunq, "approval", value, "--events", str(tmp_path / "events.json"))
    assert output(outcome) == expected


def test_a_small_amount_needs_nobody(flunq: Flunq) -> None:
    value = {"request": "r-8", "amount": 50}
    assert output(run(flunq, "approval", value)) == {"status": "granted", "amount": 50}


async def test_an_http_call_is_repeated_with_the_same_key(flunq: Flunq) -> None:
    async with HttpStub() as stub:
        url = stub.answer("/quote", Answer(503), Answer(503), Answer(200, {"quote": "Less."}))
        outcome = await asyncio.to_thread(run, flunq, "http-retry", {"url": url})
        assert output(outcome) == {"quote": "Less."}
        keys = {request.headers["idempotency-key"] for request in stub.requests}
        assert (len(stub.requests), len(keys)) == (3, 1)


async def test_a_parcel_is_followed_to_the_door(flunq: Flunq) -> None:
    scans = [("P-0", "depot"), ("P-1", "depot"), ("P-1", "van"), ("P-1", "door"), ("P-1", "moon")]
    events = [json.dumps({"parcel": parcel, "place": place}) for parcel, place in scans]
    body = "".join(f"data: {event}\n\n" for event in events).encode()
    async with HttpStub() as stub:
        stub.answer("/scans", Answer(body=body, headers={"content-type": "text/event-stream"}))
        value = {"parcel": "P-1", "port": str(stub.port)}
        outcome = await asyncio.to_thread(run, flunq, "parcel", value)
        assert output(outcome) == {"route": ["1. depot", "2. van", "3. door"]}
        assert stub.requests[0].json() == {"parcel": "P-1"}
