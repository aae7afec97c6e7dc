from __future__ import annotations

from bisect import bisect_left

import msgspec
import pytest

from flunq.core.execution.commands import Cancel, Command, Failure, Report
from flunq.core.execution.effects import Dispatch, Withdraw
from flunq.core.json import LEVELS_AROUND
from flunq.services import wire


def test_a_dispatch_survives_the_queue() -> None:
    dispatch = Dispatch(
        execution="e",
        task="t",
        kind="http",
        reference="/do/0/x",
        key="k",
        attempt=2,
        arguments={"with": {"a": [1, None, "é"]}},
        deadline=5,
    )
    assert wire.decode_dispatch(wire.encode_dispatch(dispatch)) == dispatch


def test_commands_survive_the_inbox() -> None:
    commands: list[Command] = [
        Report(id="e", task="t", failure=Failure(type="x", status=500)),
        Cancel(id="e", reason="no"),
    ]
    assert wire.decode_commands(wire.encode_commands(commands)) == commands


def test_withdrawals_survive_a_notice() -> None:
    withdrawals = [Withdraw(execution="e", task="t", kind="http")]
    assert wire.decode_withdrawals(wire.encode_withdrawals(withdrawals)) == withdrawals


def test_a_claim_is_told_from_a_message() -> None:
    assert wire.claim_in(wire.encode_claim("blob-1")) == "blob-1"
    assert wire.claim_in(wire.encode_commands([Cancel(id="e")])) is None


@pytest.mark.parametrize("levels", [1, wire.MANY])
def test_an_event_is_read_at_any_usual_depth(levels: int) -> None:
    event = b'{"type": "x", "data": %b1%b}' % (b"[" * levels, b"]" * levels)
    assert wire.decode_event(event)["type"] == "x"


def test_what_could_be_read_and_not_be_stored_is_not_read() -> None:
    def is_refused(levels: int) -> bool:
        try:
            wire.decode_event(b'{"data": %b%b}' % (b"[" * levels, b"]" * levels))
        except msgspec.DecodeError as error:
            assert str(error) == "it is nested too deeply"
            return True
        return False

    # Whatever is read leaves room for what the engine puts around it.
    most = bisect_left(range(100_000), True, key=is_refused) - 1 + LEVELS_AROUND // 2
    msgspec.json.decode(b"[" * most + b"]" * most)


def test_what_is_nested_too_deeply_cannot_be_read() -> None:
    deep = b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for read in (wire.decode_event, wire.decode_dispatch):
        with pytest.raises(msgspec.DecodeError, match="too deeply"):
            read(deep)
    with pytest.raises(msgspec.DecodeError, match="too deeply"):
        wire.decode_commands(b"[" + deep + b"]")
