"""The network between simulated processes and the broker, and everything that goes wrong on it.

An operation travels to the broker, takes effect there, and its answer travels back. Each leg can
be slow or lost; the process can die while the operation is on the wire. What the asker sees then
is what it would see on a real network: no answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from flunq.log.memory.broker import MemoryBroker, Operation
from flunq.log.memory.log import MemoryLog
from flunq.log.ports import (
    OutcomeUnknownError,
    Record,
    RequestTimeoutError,
    StoreFullError,
    TransportLostError,
)
from flunq.testing.clock import PROCESS, Process, VirtualLoop

if TYPE_CHECKING:
    from random import Random

Result = TypeVar("Result")

ANSWER_PATIENCE = 1.0
"""Seconds after which an unanswered write counts as unknown."""
WRITES = frozenset(
    "append publish withdraw ack retry drop extend put swap delete renew release"
    " wake_at cancel purge trim".split()
)
STORED = frozenset(
    "journal.append inbox.publish tasks.publish bus.publish dead_letters.publish state.put"
    " state.swap blobs.put schedules.wake_at".split()
)
"""Operations that a full disk refuses."""
UNSAFE = frozenset({"definitions"})
"""Ports that only an operator writes to; their writes are not disturbed."""


class Weather(msgspec.Struct, kw_only=True):
    """How often what goes wrong."""

    unknown: float = 0.0
    """Writes without an answer: stored, not stored or stored late."""
    lost: float = 0.0
    """Requests or their answers that vanish."""
    doubled: float = 0.0
    """Requests that arrive twice."""
    slow: float = 0.0
    """Operations that take up to a second, and reorder."""
    stalled: frozenset[str] = frozenset()
    """Operations (port.verb) that take several seconds for now."""


class Trigger(msgspec.Struct, kw_only=True):
    """Something that happens at the n-th operation of a process that matches."""

    machine: str
    operation: str
    """Port and verb, or only the port, or a crash point."""
    count: int
    moment: str
    """``before`` (as it is sent) or ``after`` (as it has taken effect)."""
    act: Callable[[], None]


class ArchivedLog(MemoryLog):
    """A stream that an archive follows: purging does not take anything from it."""

    def __init__(self, *, created: str, now: Callable[[], int]) -> None:
        super().__init__(created=created, now=now)
        self.archive: list[Record] = []

    def append(self, subject: str, data: bytes, **named: Any) -> int:
        """Store a record and keep it for ever."""
        before = self.last_seq
        seq = super().append(subject, data, **named)
        if seq > before:
            self.archive.append(self._records[-1])
        return seq

    def copy(self, *, whole: bool) -> MemoryLog:
        """Return a stream with what is stored now, or with all that ever was."""
        log = MemoryLog(created=self.created, now=self._now)
        log._records = list(self.archive if whole else self._records)
        for record in log._records:
            log._subjects.setdefault(record.subject, []).append(record)
        log.first_seq = log._records[0].seq if log._records else 1
        log.last_seq = self.last_seq
        return log


class Wire(MemoryBroker):
    """The broker behind a network whose every mishap comes from one seed."""

    def __init__(self, loop: VirtualLoop, now: Callable[[], int], random: Random) -> None:
        super().__init__(now=now)
        self.weather = Weather()
        self.storms: dict[str, Weather] = {}
        """Machine -> its own weather."""
        self.triggers: list[Trigger] = []
        self.digest = blake2b(digest_size=16)
        self.tell: Callable[[str], None] | None = None
        """Told of every operation, if somebody wants to read along."""
        self.operations = 0
        self.full = False
        """The disk is full: nothing can be stored."""
        self._loop = loop
        self._random = random
        self._outside: Context = copy_context()
        self._outside.run(PROCESS.set, None)

    @property
    def journal(self) -> ArchivedLog:
        """The default tenant's journal."""
        return self._archived("default/journal")

    @property
    def inbox(self) -> ArchivedLog:
        """The default tenant's inbox."""
        return self._archived("default/inbox")

    @property
    def events(self) -> ArchivedLog:
        """The default tenant's bus."""
        return self._archived("default/bus")

    def _archived(self, name: str) -> ArchivedLog:
        log = self.logs[name]
        assert isinstance(log, ArchivedLog)
        return log

    def _fresh_log(self) -> ArchivedLog:
        self._created += 1
        return ArchivedLog(created=f"created-{self._created}", now=self.now)

    async def perform(self, operation: Operation, action: Callable[[], Result]) -> Result:
        """Carry one operation to the broker and its answer back."""
        process = PROCESS.get()
        if process is not None and not process.alive:
            raise TransportLostError(f"{process.name} is dead")
        flight = _Flight(self, operation, action, process)
        result: Result = await flight.answer
        return result

    def note(self, text: str) -> None:
        """Write into the event log."""
        line = f"{self._loop.micros()} {text}"
        self.digest.update(line.encode())
        if self.tell is not None:
            self.tell(line)

    def weather_of(self, operation: Operation) -> Weather:
        """Return the weather where an operation comes from."""
        machine = operation.client.partition("#")[0]
        return self.storms.get(machine, self.weather)

    def passed(self, process: Process | None, name: str, moment: str) -> None:
        """Let triggers act."""
        if process is None or not self.triggers:
            return
        machine = process.name.partition("#")[0]
        for trigger in list(self.triggers):
            matches = trigger.operation in (name, name.partition(".")[0])
            if trigger.machine == machine and trigger.moment == moment and matches:
                trigger.count -= 1
                if trigger.count <= 0:
                    self.triggers.remove(trigger)
                    self.note(f"{process.name} reached {name} ({moment})")
                    trigger.act()

    def later(self, delay: float, call: Callable[..., Any], *args: Any) -> None:
        """Do something outside of all processes after a while."""
        self._loop.call_later(delay, call, *args, context=self._outside)

    def draw(self) -> Random:
        """Return the source of mishaps."""
        return self._random


class _Flight:
    """One operation on its way."""

    def __init__(
        self,
        wire: Wire,
        operation: Operation,
        action: Callable[[], Any],
        process: Process | None,
    ) -> None:
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._wire = wire
        self._operation = operation
        self._action = action
        self._process = process
        random = wire.draw()
        self._weather = weather = wire.weather_of(operation)
        delay = 0.0002 + random.random() * 0.001
        if weather.slow and random.random() < weather.slow:
            delay += random.random()
        if weather.stalled and operation.name in weather.stalled:
            delay += 0.3 + random.random() * 5.0
        self._mishap = self._mishap_of(random)
        wire.operations += 1
        wire.passed(process, operation.name, "before")
        if self._mishap == "late":
            wire.later(ANSWER_PATIENCE, self._give_up)
            delay += ANSWER_PATIENCE + random.random() * 3.0
        wire.later(delay, self._arrive)

    def _mishap_of(self, random: Random) -> str:
        """Decide what goes wrong with this operation."""
        port, _, verb = self._operation.name.partition(".")
        weather = self._weather
        if port == "requests":
            return self._request_mishap(random, verb)
        if verb not in WRITES or port in UNSAFE or not weather.unknown:
            return ""
        if random.random() >= weather.unknown:
            return ""
        return random.choice(["unanswered", "unanswered", "vanished", "late"])

    def _request_mishap(self, random: Random, verb: str) -> str:
        weather = self._weather
        chance = random.random()
        if chance < weather.lost:
            return "vanished" if verb == "notify" or chance < weather.lost / 2 else "unanswered"
        if verb == "request" and chance < weather.lost + weather.doubled:
            return "doubled"
        return ""

    @property
    def _is_dead(self) -> bool:
        return self._process is not None and not self._process.alive

    def _arrive(self) -> None:
        """The operation reaches the broker."""
        wire, process, operation = self._wire, self._process, self._operation
        if self._is_dead and wire.draw().random() < 0.5:
            wire.note(f"{operation.client} {operation.name} {operation.target} died on the wire")
            return
        if self._mishap == "vanished":
            wire.note(f"{operation.client} {operation.name} {operation.target} vanished")
            wire.later(ANSWER_PATIENCE, self._give_up)
            return
        error: Exception | None = None
        result: Any = None
        try:
            if wire.full and operation.name in STORED:
                raise StoreFullError("no space left")
            result = self._action()
        except Exception as reason:  # noqa: BLE001 - the asker gets it
            error = reason
        outcome = "ok" if error is None else type(error).__name__
        mishap = f" {self._mishap}" if self._mishap else ""
        wire.note(f"{operation.client} {operation.name} {operation.target} {outcome}{mishap}")
        wire.passed(process, operation.name, "after")
        self._respond(result, error)

    def _respond(self, result: Any, error: Exception | None) -> None:
        """Send the answer back."""
        if self._mishap == "unanswered":
            self._wire.later(ANSWER_PATIENCE, self._give_up)
            return
        if self._mishap == "doubled" and error is None:
            self._wire.later(self._wire.draw().random() * 2, self._repeat)
        if self.answer.done() or self._is_dead:
            return
        if error is not None:
            self.answer.set_exception(error)
        else:
            self.answer.set_result(result)

    def _repeat(self) -> None:
        """A request arrives a second time; nobody waits for its answer."""
        self._wire.note(f"{self._operation.client} {self._operation.name} again")
        try:
            self._action()
        except Exception:  # noqa: BLE001 - nobody waits for it
            return

    def _give_up(self) -> None:
        """No answer came in time."""
        if self.answer.done() or self._is_dead:
            return
        name, target = self._operation.name, self._operation.target
        if name == "requests.notify":
            self.answer.set_result(None)
        elif name.startswith("requests."):
            self.answer.set_exception(RequestTimeoutError(f"{target}: no answer"))
        else:
            self.answer.set_exception(OutcomeUnknownError(f"{name} {target}: no answer"))
