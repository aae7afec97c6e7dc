"""Histories of executions that never ran, made from one that did."""

from __future__ import annotations

import base64
import random
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from flunq.bench.steps import NAME
from flunq.core.events import join_batch, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flunq.core.events import LazyEvent

ORDER = "order-6291835"
CUSTOMER = "Customer Somebody"
ADDRESS = "somebody@example.com"
ARTICLE = "article-5518"
AMOUNT = 71937
NOTE = "a note that the customer left with the order"
REFERENCE = "ref-7715c3b0{:04}"
"""What the input of a pattern contains; each copy has other values in these places."""

PER_COMMIT = 10
"""Executions whose events share a commit, as under load."""
_SPACING = 20_000
"""Microseconds between two starts."""
_MOMENT = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
_REFERENCE = re.compile(rb"ref-7715c3b0\d{4}")
_TRACE = re.compile(rb'"traceparent":"00-([0-9a-f]{32})-')


def document(steps: int) -> str:
    """Return the workflow whose executions are copied: calls in a row, and perhaps an error."""
    tasks = [
        {
            f"step-{number}": {
                "call": NAME,
                "with": {"n": "${ .amount }"},
                "output": {
                    "as": f"${{ {{amount: .n, ref: $workflow.input.references[{number}]}} }}"
                },
            }
        }
        for number in range(steps)
    ]
    refused = {"type": "https://example.com/refused", "status": 402, "title": "Card refused"}
    last = {"refuse": {"if": "${ $workflow.input.refuse }", "raise": {"error": refused}}}
    head = {"dsl": "1.0.3", "namespace": "flunq-bench", "name": "orders", "version": "1.0.0"}
    return msgspec.json.encode({"document": head, "do": [*tasks, last]}).decode()


def pattern_input(steps: int, *, refuse: bool) -> dict[str, object]:
    """Return the input of an execution that is to be copied."""
    return {
        "order": ORDER,
        "amount": AMOUNT,
        "refuse": refuse,
        "customer": {"name": CUSTOMER, "email": ADDRESS},
        "note": NOTE,
        "references": [REFERENCE.format(number) for number in range(steps)],
        "items": [{"article": ARTICLE, "count": 2}, {"article": ARTICLE, "count": 1}],
    }


class Pattern:
    """The history of one execution, cut up where copies differ."""

    def __init__(self, execution: str, events: Sequence[LazyEvent]) -> None:
        texts = [msgspec.json.encode(event) for event in events]
        trace = _TRACE.search(texts[0])
        places = [execution, ORDER, CUSTOMER, ADDRESS, ARTICLE, str(AMOUNT), NOTE]
        names = [name.encode() for name in places]
        names.append(trace[1] if trace else b"no trace")
        # One for each step: most of what is recorded is new each time.
        names += sorted(set(_REFERENCE.findall(b"".join(texts))))
        self._places = names
        began = _micros(events[0].time.encode())
        cut = re.compile(b"(" + b"|".join([*map(re.escape, names), _MOMENT]) + b")")
        self._events = [
            [self._slot(part, began) if n % 2 else part for n, part in enumerate(cut.split(text))]
            for text in texts
        ]

    def _slot(self, found: bytes, began: int) -> int:
        """Return the number of a place below zero, of a moment its distance from the start."""
        if found in self._places:
            return -1 - self._places.index(found)
        return max(0, _micros(found) - began)

    def copy(self, execution: str, began: int, dice: random.Random) -> list[bytes]:
        """Return the events of another execution."""
        values = [
            execution.encode(),
            b"order-%d" % dice.randrange(10**7),
            b"Customer %d" % dice.randrange(10**5),
            b"c%d@example.com" % dice.randrange(10**5),
            b"article-%d" % dice.randrange(10**4),
            b"%d" % dice.randrange(1, 10**5),
            base64.b64encode(dice.randbytes(30)),
            b"%032x" % dice.getrandbits(128),
        ]
        values += [b"ref-%012x" % dice.getrandbits(48) for _ in self._places[len(values) :]]
        haste = dice.uniform(0.5, 3.0)

        def written(slot: int) -> bytes:
            if slot < 0:
                return values[-1 - slot]
            return timestamp(began + int(slot * haste)).encode()

        return [
            b"".join(written(part) if isinstance(part, int) else part for part in event)
            for event in self._events
        ]


def commits(
    patterns: Sequence[Pattern],
    executions: int,
    *,
    tenant: str,
    partition: int,
    until: int,
    seed: int = 1,
) -> Iterator[tuple[bytes, int]]:
    """Yield journal records with copies and how many events each has; one in twenty is odd."""
    dice = random.Random(seed)  # noqa: S311 - the same numbers each time
    began = until - executions * _SPACING
    for number, first in enumerate(range(0, executions, PER_COMMIT), 1):
        histories = []
        for _ in range(first, min(first + PER_COMMIT, executions)):
            began += _SPACING
            chosen = patterns[0] if dice.random() < 0.95 else patterns[-1]
            histories.append(chosen.copy(_id(began, dice), began, dice))
        events = [
            history[step]
            for step in range(max(map(len, histories)))
            for history in histories
            if step < len(history)
        ]
        head = _head(tenant, partition, number, began)
        yield join_batch([head, *events]), len(events)


def _head(tenant: str, partition: int, number: int, now: int) -> bytes:
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": f"{tenant}-{partition}:{number}",
            "source": f"/flunq/{tenant}/partitions/{partition}",
            "type": "io.flunq.commit",
            "time": timestamp(now),
            "datacontenttype": "application/json",
            "tenant": tenant,
            "partition": partition,
            "data": {"number": number, "epoch": 1, "node": "bench", "releasedThrough": 0},
        }
    )


def _id(began: int, dice: random.Random) -> str:
    """Return a UUIDv7."""
    moment, chance = f"{began // 1000:012x}", f"{dice.getrandbits(72):018x}"
    return f"{moment[:8]}-{moment[8:]}-7{chance[:3]}-8{chance[3:6]}-{chance[6:]}"


def _micros(moment: bytes) -> int:
    # Floats are too coarse for microseconds since the epoch.
    passed = datetime.fromisoformat(moment.decode()) - datetime(1970, 1, 1, tzinfo=UTC)
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
