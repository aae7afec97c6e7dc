"""Dead letters: what could not be worked on, why, and what may be asked about them.

A letter is a CloudEvent. Its ``data`` says the ``reason``, the ``origin`` (which consumer gave it
up), how many ``attempts`` there were, and the ``body`` as it was read, cut where it is long.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from flunq.core.events import ENGINE, QUARANTINED, timestamp
from flunq.core.ids import token

MAX_BODY = 512 * 1024
"""Bytes of a body that a letter keeps at most; one that was cut cannot be put back."""
MAX_TEXT = 768 * 1024
"""Bytes that it may have as a text in JSON."""
TASK_DEAD = ENGINE + "task.dead"
INPUT_DEAD = ENGINE + "input.dead"
EVENT_DEAD = ENGINE + "event.dead"

Origin = Literal["task", "input", "event", "execution"]
_TYPES: dict[str, str] = {"task": TASK_DEAD, "input": INPUT_DEAD, "event": EVENT_DEAD}
_ORIGINS: dict[str, Origin] = {
    TASK_DEAD: "task",
    INPUT_DEAD: "input",
    EVENT_DEAD: "event",
    QUARANTINED: "execution",
}


def letters_subject(tenant: str) -> str:
    """Return where the keeper of the dead letters answers."""
    return f"flunq.ask.{token(tenant)}.letters"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter as people see it."""

    id: str
    """Its number among the letters of the tenant."""
    time: str
    origin: Origin
    reason: str
    execution: str = ""
    workflow: str = ""
    task: str = ""
    """Reference of the task."""
    task_id: str = ""
    kind: str = ""
    """Which executor the task is for."""
    attempts: int = 0
    """How often it was begun or tried."""
    size: int = 0
    """Bytes of the body when it was read."""
    body: str | None = None
    """What it was; None in lists."""
    truncated: bool = False
    place: dict[str, Any] = {}
    """Where it was read: ``partition``, ``seq``, ``external``."""


class ListLetters(msgspec.Struct, frozen=True, kw_only=True, tag="list-letters"):
    """Ask for a page of letters after a number, oldest first."""

    after: int = 0
    execution: str = ""
    origin: str = ""


class ShowLetter(msgspec.Struct, frozen=True, kw_only=True, tag="show-letter"):
    """Ask for one letter with its body."""

    id: str


class RetryLetter(msgspec.Struct, frozen=True, kw_only=True, tag="retry-letter"):
    """Ask for a letter to be put back where it came from, changed if ``body`` says so."""

    id: str
    body: str | None = None


class DropLetter(msgspec.Struct, frozen=True, kw_only=True, tag="drop-letter"):
    """Ask for a letter to be forgotten."""

    id: str


class LookAround(msgspec.Struct, frozen=True, kw_only=True, tag="look-around"):
    """Ask who is alive and what was published last, so that a wait can be explained."""

    events: int = 0
    """So many of the newest events."""


LetterQuestion = ListLetters | ShowLetter | RetryLetter | DropLetter | LookAround


class LiveNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node whose lease lives."""

    name: str
    incarnation: str
    kinds: tuple[str, ...] = ()
    """The tasks that it runs."""
    capacity: int = 0
    leaving: bool = False


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Who is alive, and the newest events of the bus, oldest first."""

    nodes: list[LiveNode]
    events: list[dict[str, Any]] = []


class LetterPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some letters; ask again after ``after`` unless it is None."""

    letters: list[Letter]
    after: int | None = None


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a letter that was put back."""

    id: str
    outcome: str
    """``queued``, ``delivered`` or ``published``."""
    detail: str


def dead_letter(
    origin: Literal["task", "input", "event"],
    name: str,
    body: bytes,
    *,
    reason: str,
    now: int,
    source: str,
    execution: str = "",
    **facts: Any,
) -> dict[str, Any]:
    """Return a letter as a CloudEvent; ``facts`` are further members of its data."""
    data: dict[str, Any] = {"origin": origin, "reason": reason}
    data |= {key: value for key, value in facts.items() if value not in ("", None)}
    kept = _kept(body)
    data["size"] = len(body)
    data["body"] = body[:kept].decode(errors="replace")
    if kept < len(body):
        data["truncated"] = True
    return {
        "specversion": "1.0",
        "id": f"{name}.dead",
        "source": source,
        "type": _TYPES[origin],
        "subject": execution,
        "time": timestamp(now),
        "datacontenttype": "application/json",
        "data": data,
    }


def _kept(body: bytes) -> int:
    """Return how much of a body a message has room for: some bytes are six in JSON."""
    kept = min(len(body), MAX_BODY)
    while len(msgspec.json.encode(body[:kept].decode(errors="replace"))) > MAX_TEXT:
        kept //= 2
    return kept


def read_letter(seq: int, stored: bytes) -> Letter:
    """Return a stored letter; raises msgspec.MsgspecError if it is none."""
    event = msgspec.json.decode(stored, type=dict[str, Any])
    data = event.get("data")
    facts = data if isinstance(data, dict) else {}
    origin = _ORIGINS.get(str(event.get("type")), "task")
    if origin == "execution":
        return _of_quarantine(seq, event, facts)
    body = str(facts.get("body", ""))
    return Letter(
        id=str(seq),
        time=str(event.get("time", "")),
        origin=origin,
        reason=str(facts.get("reason", "")),
        execution=str(event.get("subject") or ""),
        workflow=str(facts.get("workflow", "")),
        task=str(facts.get("task", "")),
        task_id=str(facts.get("taskId", "")),
        kind=str(facts.get("kind", "")),
        attempts=_count(facts.get("attempts")),
        size=_count(facts.get("size")) or len(body.encode()),
        body=body,
        truncated=bool(facts.get("truncated")),
        place={key: facts[key] for key in ("partition", "seq", "external") if key in facts},
    )


def _of_quarantine(seq: int, event: dict[str, Any], facts: dict[str, Any]) -> Letter:
    body = msgspec.json.encode(facts.get("command")).decode()
    return Letter(
        id=str(seq),
        time=str(event.get("time", "")),
        origin="execution",
        reason=str(facts.get("reason", "")),
        execution=str(event.get("subject") or ""),
        workflow=str(event.get("workflow", "")),
        attempts=1,
        size=len(body),
        body=body,
        place={"partition": event.get("partition", -1), "seq": event.get("seq", 0)},
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
