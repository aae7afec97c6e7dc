"""Recorded histories: how they are kept in files, folded again and gone on with."""

from __future__ import annotations

import gzip
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.events import CloudEvent
from flunq.core.execution.commands import Cancel, Deliver, Resume
from flunq.core.execution.fold import fold, micros
from flunq.core.execution.restoring import to_value
from flunq.core.execution.state import decode_state, encode_state
from tests.support.driver import Driver

if TYPE_CHECKING:
    from flunq.core.execution.state import State

FOLDER = Path(__file__).parents[1] / "histories"
_ENOUGH = 200


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a file; the events follow, one a line."""

    document: dict[str, Any]
    """What the execution runs at its end."""
    events: int
    cut: int
    """How many events the first half of the commits holds."""
    half: str
    """Digest of the state after those."""
    final: str
    """Digest of the state after all of them."""


class History(msgspec.Struct, frozen=True):
    """One recorded execution."""

    head: Head
    events: list[CloudEvent]


def folded(events: list[CloudEvent]) -> State:
    """Return the state that events lead to, stored and loaded once on the way."""
    state: State | None = None
    for event in events:
        state = fold(state, event)
    assert state is not None
    return decode_state(encode_state(state))


def digest(state: State) -> str:
    """Return what a state says in a few letters; the order of its members does not matter."""
    return sha256(msgspec.json.encode(to_value(state), order="deterministic")).hexdigest()[:32]


def write(path: Path, driver: Driver) -> None:
    """Keep what a driver went through."""
    document = driver.env.workflow.value
    events = [_stored(event) for event in driver.events]
    cut = driver.commits[(len(driver.commits) - 1) // 2]
    half, final = digest(folded(events[:cut])), digest(folded(events))
    head = Head(document=document, events=len(events), cut=cut, half=half, final=final)
    lines = [msgspec.json.encode(line) for line in (head, *events)]
    path.write_bytes(gzip.compress(b"\n".join(lines), mtime=0))


def _stored(event: CloudEvent) -> CloudEvent:
    return msgspec.json.decode(msgspec.json.encode(event), type=CloudEvent)


def read(path: Path) -> History:
    """Read a file."""
    head, *lines = gzip.decompress(path.read_bytes()).split(b"\n")
    events = [msgspec.json.decode(line, type=CloudEvent) for line in lines]
    return History(msgspec.json.decode(head, type=Head), events)


def driver_after(history: History, count: int) -> Driver:
    """Return a driver that stands where an execution stood after some of its events."""
    driver = Driver(history.head.document)
    driver.events = history.events[:count]
    driver.state, driver.folded = folded(driver.events), folded(driver.events)
    driver.now = micros(driver.events[-1].time)
    driver.timers = dict(driver.live.timers)
    driver.open = set(driver.live.tasks)
    driver.limit = 20
    return driver


def go_on(driver: Driver) -> None:
    """Let an execution come to its end: everything open is answered, the oldest first."""
    driver.send(Resume(id=driver.live.id))
    for number in range(_ENOUGH):
        if driver.done:
            return
        if driver.open:
            driver.report(min(driver.open), {"n": number, "x": {"y": number}})
        elif driver.live.listeners:
            hear(driver, number)
        else:
            driver.fire()
    driver.send(Cancel(id=driver.live.id))


def hear(driver: Driver, number: int) -> None:
    """Deliver an event to every listener."""
    for listener in list(driver.live.listeners):
        event = {"id": f"e{number}", "source": "s:x", "type": "a", "data": {"n": number}}
        driver.send(Deliver(id=driver.live.id, listener=listener, event=event))
