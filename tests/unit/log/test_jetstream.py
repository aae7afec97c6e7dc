from __future__ import annotations

import pytest

from flunq.log.nats.jetstream import (
    header_block,
    identity_block,
    own_headers,
    parse_headers,
    parse_status,
    seconds_of,
)
from flunq.log.nats.readers import ends_pull, parse_position
from flunq.log.nats.streams import differences


def test_headers_survive_the_wire() -> None:
    headers = {"Flunq-Nonce": "a:b c", "X": "ü"}
    assert parse_headers(header_block(headers)) == headers


def test_a_header_cannot_smuggle_lines() -> None:
    with pytest.raises(ValueError, match="line breaks"):
        header_block({"A": "x\r\nNats-Rollup: all"})


@pytest.mark.parametrize("odd", ["a\r\nNats-Rollup: all", "", "ü", "x" * 300, "a b", "\ud800"])
def test_odd_message_ids_are_hashed(odd: str) -> None:
    block = parse_headers(identity_block(odd))
    assert list(block) == ["Nats-Msg-Id"]
    assert len(block["Nats-Msg-Id"]) == 64


def test_plain_message_ids_are_kept() -> None:
    assert identity_block("o-1:/do/0#1") == b"NATS/1.0\r\nNats-Msg-Id: o-1:/do/0#1\r\n\r\n"


def test_headers_of_the_broker_are_left_out() -> None:
    assert own_headers({"Nats-Sequence": "1", "Flunq-Epoch": "2"}) == {"Flunq-Epoch": "2"}


@pytest.mark.parametrize(
    ("block", "status"),
    [
        (b"NATS/1.0 408 Request Timeout\r\n\r\n", (408, "Request Timeout")),
        (b"NATS/1.0 503\r\n\r\n", (503, "")),
        (b"NATS/1.0 409 Consumer Deleted\r\nA: b\r\n\r\n", (409, "Consumer Deleted")),
        (b"NATS/1.0\r\nA: b\r\n\r\n", None),
        (b"", None),
    ],
)
def test_a_status_is_told_from_a_message(block: bytes, status: tuple[int, str] | None) -> None:
    assert parse_status(block) == status


def test_the_end_of_a_pull_is_told_from_the_end_of_a_consumer() -> None:
    assert ends_pull(408, "Request Timeout")
    assert ends_pull(409, "Message Size Exceeds MaxBytes")
    assert not ends_pull(409, "Consumer Deleted")
    assert not ends_pull(409, "Leadership Change")
    assert not ends_pull(503, "")


@pytest.mark.parametrize(
    "reply",
    [
        b"$JS.ACK.S.C.2.17.5.1700000000500000000.3",
        b"$JS.ACK.domain.hash.S.C.2.17.5.1700000000500000000.3.rand",
    ],
)
def test_a_position_is_read_with_and_without_a_domain(reply: bytes) -> None:
    assert parse_position(reply) == (2, 17, 5, 1_700_000_000.5)


def test_timestamps_with_nanoseconds_are_read() -> None:
    assert seconds_of("2023-11-14T22:13:20.123456789Z") == pytest.approx(1_700_000_000.123456)


def test_differences_are_named_and_defaults_are_not() -> None:
    declared = {"name": "S", "num_replicas": 3, "max_age": 0, "deny_delete": True}
    actual = {"name": "S", "num_replicas": 1, "deny_delete": True, "sealed": False}
    assert differences(declared, actual) == ["S: num_replicas is 1, should be 3"]
