"""A source that takes orders and writes them down, for tests of what commands ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from flunq.core.events import timestamp
from flunq.core.letters import Letter
from flunq.core.protocol import ScheduleView
from flunq.core.scheduling.state import Counts, Note
from flunq_tui.recorded import RecordedSource, Recording
from flunq_tui.source import Link, Queue
from tests.support.driver import EPOCH, Driver
from tests.support.monitor import definition, order, recording

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flunq.client.reasons import Why
    from flunq.telemetry.lines import LogLine

APPROVAL = """\
document: {dsl: 1.0.3, namespace: shop, name: approval, version: 1.0.0}
do:
  - ask:
      listen:
        to:
          one:
            with: {type: com.example.decided, source: /shop}
            correlate:
              request: {from: '${ .data.request }', expect: '${ .request }'}
      metadata:
        schema:
          type: object
          required: [request, approved]
          properties:
            request: {type: string}
            approved: {type: boolean}
            why: {type: string, minLength: 3}
"""


class Desk(RecordedSource):
    """Recordings that can be acted on: every order is noted in ``done``."""

    offline = False

    def __init__(
        self, recordings: Iterable[Recording] = (), letters: Iterable[Letter] = ()
    ) -> None:
        super().__init__(recordings)
        self.link = Link(state="live", name="desk")
        self.done: list[tuple[Any, ...]] = []
        self.dead = list(letters)
        self.lines: list[LogLine] = []
        self.reasons: Why | None = None
        self.plans: list[ScheduleView] = []

    async def why(self, execution: str) -> Why | None:
        return self.reasons

    async def letters(self) -> Sequence[Letter]:
        return list(self.dead)

    async def letter(self, name: str) -> Letter:
        return next(each for each in self.dead if each.id == name)

    async def logs(self, limit: int) -> Sequence[LogLine]:
        return self.lines

    async def queues(self) -> Sequence[Queue]:
        return [Queue(stream="tasks", reader="http", waiting=12, unconfirmed=3)]

    async def act(self, action: str, execution: str, **values: Any) -> str:
        self.done.append((action, execution, *values.values()))
        return "running"

    async def schedules(self) -> Sequence[ScheduleView]:
        return self.plans

    async def steer(self, action: str, schedule: str) -> str:
        self.done.append((action, schedule))
        self.plans = [nightly(skips=action == "skip")]
        return "active"

    async def fork(self, execution: str, *, at: int | None, **values: Any) -> str:
        self.done.append(("fork", execution, at, *values.values()))
        return "order-1"

    async def settle(self, action: str, letter: str, body: str | None = None) -> str:
        self.done.append((action, letter, body))
        self.dead = [each for each in self.dead if each.id != letter]
        return "queued"

    async def start(self, workflow: str, value: Any, execution: str | None) -> str:
        self.done.append(("start", workflow, value, execution))
        return "order-1"

    async def emit(self, events: Iterable[dict[str, Any]]) -> None:
        self.done += [("emit", each["type"], each["source"], each["data"]) for each in events]


def letter(number: int = 7) -> Letter:
    """Return a dead letter of a task."""
    return Letter(
        id=str(number),
        time=timestamp(EPOCH),
        origin="task",
        reason="given up after 3 attempts",
        execution="order-2",
        workflow="shop/order:1.0.0",
        task="/do/0/price",
        attempts=3,
        body='{"cents": 1}',
    )


def nightly(*, skips: bool = False) -> ScheduleView:
    """Return a schedule with three fires to come, the first of them perhaps to be skipped."""
    due = [EPOCH + hours * 3_600_000_000 for hours in (1, 25, 49)]
    return ScheduleView(
        namespace="shop",
        name="nightly",
        version="1.0.0",
        status="active",
        kinds=("cron",),
        schedule={"cron": "30 2 * * *"},
        timezone="UTC",
        overlap="allow",
        catch_up=0,
        missed="all",
        since=EPOCH,
        next=due[skips:],
        skipping=due[:skips],
        counts=Counts(skipped=1),
        runs=[Note(at=EPOCH, cause="time", outcome="skipped", noted_at=EPOCH)],
    )


def approval(execution: str = "asking") -> Recording:
    """Return an execution that waits for an answer."""
    document = yaml.safe_load(APPROVAL)
    made = recording(Driver(document, {"request": "r-1"}).begin(), execution, after=6_000_000)
    waiting = [{"for": "event", "task": "/do/0/ask", "listener": "3l"}]
    details = msgspec.structs.replace(
        made.details, workflow="approval", namespace="shop", version="1.0.0", waiting=waiting
    )
    return msgspec.structs.replace(made, details=details, definition=definition(APPROVAL))


def desk(*letters: Letter) -> Desk:
    """Return a faulted order, a suspended one, one that is done and one that asks."""
    from tests.support.monitor import REFUSAL

    faulted = order(charge=[REFUSAL]).run()
    held = recording(order().begin(), "order-4", after=1_000_000)
    suspended = msgspec.structs.replace(held.details, status="suspended")
    return Desk(
        [
            recording(order().run(), "order-1"),
            recording(faulted, "order-2", after=2_000_000),
            msgspec.structs.replace(held, details=suspended),
            approval(),
        ],
        letters,
    )
