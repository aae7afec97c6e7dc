"""Dead letters as they are written and read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from flunq.core.letters import MAX_BODY, dead_letter, read_letter


def written(body: bytes, **facts: Any) -> bytes:
    letter = dead_letter("task", "t1", body, reason="r", now=1_000_000, source="/x", **facts)
    return msgspec.json.encode(letter)


def test_what_is_written_is_read() -> None:
    stored = written(b'{"a": 1}', execution="e1", task="/do/0/a", taskId="t1", attempts=3)
    letter = read_letter(7, stored)
    assert (letter.id, letter.origin, letter.reason, letter.attempts) == ("7", "task", "r", 3)
    assert (letter.execution, letter.task, letter.task_id) == ("e1", "/do/0/a", "t1")
    assert (letter.body, letter.size, letter.truncated) == ('{"a": 1}', 8, False)
    assert letter.time == "1970-01-01T00:00:01.000000Z"


@pytest.mark.parametrize("byte", [b"x", b'"', b"\x01", b"\xff", "\N{SNOWMAN}".encode()])
def test_a_letter_fits_a_message_whatever_the_body_is(byte: bytes) -> None:
    stored = written(byte * (MAX_BODY // len(byte) + 10))
    assert len(stored) < 1_000_000
    letter = read_letter(1, stored)
    assert letter.truncated
    assert letter.size > MAX_BODY - 10


def test_a_body_that_is_no_text_is_kept_as_far_as_it_is_one() -> None:
    assert read_letter(1, written(b"a\xffb")).body == "a\N{REPLACEMENT CHARACTER}b"


def test_the_letter_of_an_execution_that_was_set_aside_shows_what_it_was_told() -> None:
    event = {
        "type": "io.flunq.execution.quarantined",
        "subject": "e1",
        "time": "2026-01-01T00:00:00Z",
        "workflow": "n/w:1.0.0",
        "partition": 3,
        "seq": 4,
        "data": {"reason": "a defect", "command": {"type": "continue", "id": "e1"}},
    }
    letter = read_letter(1, msgspec.json.encode(event))
    assert (letter.origin, letter.execution, letter.workflow) == ("execution", "e1", "n/w:1.0.0")
    assert letter.body == '{"type":"continue","id":"e1"}'


@pytest.mark.parametrize("stored", [b"", b"[]", b"nonsense"])
def test_what_is_no_letter_says_so(stored: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        read_letter(1, stored)
