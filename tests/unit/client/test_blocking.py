"""The blocking client has every call of the asynchronous one, and each gives the same."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, assert_type

import pytest

import flunq
from flunq.client import blocking
from flunq.client.access import AuditLog, Tokens
from flunq.client.alerts import Alerts
from flunq.client.approvals import Approvals
from flunq.client.archive import Archive
from flunq.client.blocking import _drain, _Loop
from flunq.client.client import Client
from flunq.client.control import Control
from flunq.client.dead_letters import DeadLetters
from flunq.client.flow import Flow
from flunq.client.run import Run
from flunq.client.schedules import Schedules
from flunq.client.tenants import Tenants
from flunq.core.events import LazyEvent
from flunq.core.protocol import Details, Result
from flunq.log.memory import MemoryEventStream
from flunq.log.select import StreamSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MEMORY = StreamSettings(url="memory://blocking", name="test")
TWINS: dict[type[Any], type[Any]] = {
    Client: blocking.BlockingClient,
    Run: blocking.BlockingRun,
    Alerts: blocking.BlockingAlerts,
    Approvals: blocking.BlockingApprovals,
    Archive: blocking.BlockingArchive,
    Control: blocking.BlockingControl,
    Schedules: blocking.BlockingSchedules,
    Tokens: blocking.BlockingTokens,
    AuditLog: blocking.BlockingAudit,
    Flow: blocking.BlockingFlow,
    DeadLetters: blocking.BlockingDeadLetters,
    Tenants: blocking.BlockingTenants,
}
PLUMBING = {
    "aclose", "ask_capacity", "ask_owner", "ask_sql", "erase", "listening", "mark", "serving",
}  # fmt: skip
"""What services use to build on a connection; ``connect()`` closes a blocking client."""


def calls(kind: type[Any]) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


@pytest.mark.parametrize("kind", TWINS, ids=lambda kind: kind.__name__)
def test_both_clients_have_the_same_calls(kind: type[Any]) -> None:
    plain = {"id", "status", "created"} if kind is Run else set()
    plain |= {"tenant"} if kind is Client else set()
    assert calls(TWINS[kind]) - plain == calls(kind) - PLUMBING - plain


@pytest.mark.parametrize("kind", TWINS, ids=lambda kind: kind.__name__)
def test_each_call_has_the_arguments_and_the_words_of_its_twin(kind: type[Any]) -> None:
    for name in calls(kind) - PLUMBING:
        theirs, ours = vars(kind)[name], vars(TWINS[kind])[name]
        if inspect.isfunction(theirs):
            assert inspect.signature(theirs).parameters == inspect.signature(ours).parameters
            assert inspect.unwrap(ours) is theirs or name == "run"
            assert ours.__doc__ == theirs.__doc__


async def _numbers(closed: list[bool]) -> AsyncIterator[int]:
    try:
        for number in range(3):
            yield number
    finally:
        closed.append(True)


def test_what_is_yielded_without_end_may_be_left_at_any_time() -> None:
    closed: list[bool] = []
    with _Loop() as loop:
        assert list(_drain(loop, _numbers(closed))) == [0, 1, 2]
        half = _drain(loop, _numbers(closed))
        assert next(half) == 0
        half.close()  # type: ignore[attr-defined]
    assert closed == [True, True]


def test_the_parts_of_a_client_are_twins_with_the_words_of_theirs() -> None:
    assert blocking.BlockingClient.archive.__doc__ == Client.archive.__doc__
    with _Loop() as loop:
        client = blocking.BlockingClient(Client(MemoryEventStream(MEMORY), tenant="acme"), loop)
        assert isinstance(client.archive, blocking.BlockingArchive)
        assert client.tenant == "acme"


def check_what_a_type_checker_sees(client: blocking.BlockingClient) -> None:
    """Checked with the types of everything else; it is never run."""
    assert_type(client.start("orders", {"id": 7}), blocking.BlockingRun)
    assert_type(client.start("orders").wait(3.0), Result)
    assert_type(client.start_many("orders", [1, 2]), Sequence[blocking.BlockingRun])
    assert_type(client.get("x"), Details)
    assert_type(client.history("x"), Iterator[LazyEvent])
    assert_type(client.archive, blocking.BlockingArchive)
    assert_type(client.control.retry("x", reason="again"), Details)


def test_it_has_a_name_beside_connect() -> None:
    assert flunq.connect_blocking is blocking.connect
    assert "connect_blocking" in dir(flunq)
