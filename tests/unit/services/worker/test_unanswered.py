from __future__ import annotations

from typing import Any, cast

from flunq.log.ports import Journal, OutcomeUnknownError, Record, RequestTimeoutError
from flunq.services.worker.commit import NONCE_HEADER, append_settled


class SilentJournal:
    """Stores what it gets, and answers nobody at first."""

    def __init__(self) -> None:
        self.looks = 0
        self.stored: list[Record] = []

    async def append(self, partition: int, data: bytes, **facts: Any) -> int:
        if not self.stored:
            headers = facts["headers"]
            self.stored.append(Record(seq=7, data=data, partition=partition, headers=headers))
        raise OutcomeUnknownError("no answer")

    async def last(self, partition: int) -> Record:
        self.looks += 1
        if self.looks < 3:
            raise RequestTimeoutError(f"no answer about partition {partition}")
        return self.stored[-1]


async def test_a_commit_is_settled_once_the_log_can_be_asked_again() -> None:
    journal = SilentJournal()
    sequence = await append_settled(
        cast("Journal", journal), 0, b"[]", expected=6, nonce="me", epoch=1
    )
    assert (sequence, journal.looks) == (7, 3)
    assert journal.stored[0].headers[NONCE_HEADER] == "me"
