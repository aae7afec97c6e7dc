"""Answers to questions of clients: a value, or what is wrong."""

from __future__ import annotations

import msgspec
import pytest

from flunq.core.protocol import Answer
from flunq.errors import NotFoundError
from flunq.services.answering import answered


class Double(msgspec.Struct, frozen=True, kw_only=True):
    number: int


read = msgspec.json.Decoder(Double).decode


async def double(question: Double) -> int:
    if question.number == 0:
        raise NotFoundError("there is no zero", hint="ask for another")
    return question.number * 2


async def test_a_question_is_answered_with_its_value() -> None:
    answer = msgspec.json.decode(await answered(b'{"number": 4}', read, double), type=Answer)
    assert (answer.problem, bytes(answer.value)) == (None, b"8")


@pytest.mark.parametrize(
    ("payload", "kind", "status"),
    [
        (b'{"number": 0}', "urn:flunq:error:not-found", 404),
        (b'{"number": "x"}', "urn:flunq:error:usage", 400),
        (b'{"number', "urn:flunq:error:usage", 400),
        (b'{"more": ' + b"[" * 100_000, "urn:flunq:error:usage", 400),
    ],
)
async def test_what_is_wrong_is_the_answer(payload: bytes, kind: str, status: int) -> None:
    answer = msgspec.json.decode(await answered(payload, read, double), type=Answer)
    assert answer.problem is not None
    assert (answer.problem["type"], answer.problem["status"]) == (kind, status)


async def test_a_defect_is_no_answer() -> None:
    async def broken(_: Double) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await answered(b'{"number": 4}', read, broken)
