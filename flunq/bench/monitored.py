"""The monitor under measurement, in a process of its own: ``python -m flunq.bench.monitored``.

It draws for a terminal that throws everything away but keeps the moments. Sizes come through
stdin, figures leave through stdout, both as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from textual import events
from textual.drivers.headless_driver import HeadlessDriver

from flunq.bench.crowd import Crowd
from flunq.bench.processes import CLIENT, read_usage
from flunq.bench.statistics import spread
from flunq.core.events import LazyEvent
from flunq_tui.app import Monitor, Options
from flunq_tui.launch import calm_collector
from flunq_tui.live import LiveSource
from flunq_tui.source import Link

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq_tui.widgets.virtual_table import VirtualTable

SIZE = (120, 40)
_PATIENCE = 20.0
_BLINK = 2.0
"""Seconds after which everything is drawn again."""
_PAUSE = 0.03
"""Seconds between two keys of a hasty reader."""


class Given(msgspec.Struct, kw_only=True):
    """What is to be measured."""

    executions: int
    events: int
    per_second: int
    milliseconds: int
    history: list[LazyEvent]


class Eye(HeadlessDriver):
    """A terminal of which only the moments of drawing remain."""

    drawn = ""
    waiting: tuple[Callable[[str], bool], asyncio.Future[float]] | None = None

    @property
    def is_headless(self) -> bool:
        """Have everything drawn, to the last escape sequence."""
        return False

    def write(self, data: str) -> None:
        """Take a piece of a frame."""
        self.drawn += data

    def flush(self) -> None:
        """A frame is complete."""
        frame, self.drawn = self.drawn, ""
        if self.waiting is not None and self.waiting[0](frame):
            seen, self.waiting = self.waiting[1], None
            if not seen.done():
                seen.set_result(time.perf_counter())


class Subject:
    """A monitor that runs, and what is watched of it."""

    def __init__(self, given: Given) -> None:
        self.crowd = Crowd(given.executions, given.history)
        self.source = LiveSource(self.crowd.connect, link=Link(name="bench"))
        self.app = Monitor(self.source, Options())
        self.app.driver_class = Eye

    @property
    def table(self) -> VirtualTable:
        """The table that is shown."""
        found = self.app.view.table()
        assert found is not None
        return found

    async def seen(self, text: str, act: Callable[[], None], ready: Callable[[], bool]) -> float:
        """Do something and return the seconds until the screen shows a text because of it."""
        eye = self.app._driver
        assert isinstance(eye, Eye)
        seen: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        eye.waiting = (lambda frame: text in frame and ready(), seen)
        began = time.perf_counter()
        act()
        async with asyncio.timeout(_PATIENCE):
            while not (await asyncio.wait([seen], timeout=_BLINK))[0]:
                # Only what changes is drawn: the text may be there since the frame before.
                self.app.screen.refresh()
        return seen.result() - began

    def press(self, key: str) -> None:
        """Press a key."""
        driver = self.app._driver
        assert driver is not None
        driver.send_message(events.Key(key, key if len(key) == 1 else None))


async def measure(given: Given) -> dict[str, Any]:
    """Let the monitor run and do what people do."""
    subject = Subject(given)
    app, crowd = subject.app, subject.crowd
    calm_collector()
    running = asyncio.create_task(app.run_async(size=SIZE, mouse=False))
    try:
        async with asyncio.timeout(_PATIENCE):
            while not crowd.heard or not app.view.items():  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        return {
            **await _listing(subject),
            **await _jumping(subject),
            **await _pressing(subject, given),
            **await _bursting(subject, given),
            **await _tailing(subject, given),
        }
    finally:
        app.exit()
        await running


async def _listing(subject: Subject) -> dict[str, Any]:
    """Go to the end of the list, for which all of it is read."""
    before, used = _resident(), time.process_time()
    last = subject.crowd.name(subject.crowd.executions - 1)
    taken = await subject.seen(last, lambda: subject.press("G"), lambda: True)
    return {
        "list_ms": round(taken * 1000, 1),
        "list_cpu_ms": round((time.process_time() - used) * 1000, 1),
        "list_bytes": _resident() - before,
    }


async def _jumping(subject: Subject) -> dict[str, Any]:
    """Go to rows here and there."""
    crowd, table, dice = subject.crowd, subject.table, random.Random(1)  # noqa: S311 - no secret
    taken, cpu = [], []
    for _ in range(50):
        goal = dice.randrange(crowd.executions)
        used = time.process_time()
        taken.append(await _jump(subject, table, goal))
        cpu.append(time.process_time() - used)
        await asyncio.sleep(_PAUSE)
    return {**spread(taken, "jump_"), **spread(cpu, "jump_cpu_")}


async def _jump(subject: Subject, table: VirtualTable, goal: int) -> float:
    if table.cursor == goal:
        return 0.0
    return await subject.seen(
        subject.crowd.name(goal),
        lambda: _soon(subject, table, goal),
        lambda: table.cursor == goal,
    )


def _soon(subject: Subject, table: VirtualTable, goal: int) -> None:
    subject.app.call_later(table.move_to, goal)


async def _pressing(subject: Subject, given: Given) -> dict[str, Any]:
    """Press keys while events stream in."""
    stream = asyncio.create_task(subject.crowd.stream(given.per_second))
    taken: list[float] = []
    if subject.table.cursor:
        await subject.seen(subject.crowd.name(0), lambda: subject.press("g"), lambda: True)
    ends = time.perf_counter() + given.milliseconds / 1000
    while time.perf_counter() < ends or not taken:
        taken.append(await _step(subject))
        await asyncio.sleep(_PAUSE)
    stream.cancel()
    with suppress(asyncio.CancelledError):
        await stream
    return spread(taken, "key_to_screen_")


async def _step(subject: Subject) -> float:
    table, last = subject.table, subject.crowd.executions - 1
    key = "g" if table.cursor >= last else "j"
    goal = 0 if key == "g" else table.cursor + 1
    name = subject.crowd.name(goal)
    return await subject.seen(name, lambda: subject.press(key), lambda: table.cursor == goal)


async def _bursting(subject: Subject, given: Given) -> dict[str, Any]:
    """Push a burst at a screen that has other things to do."""
    used = time.process_time()
    pushed = await subject.crowd.pump(min(given.events, 50_000))
    cost = time.process_time() - used
    return {
        "burst_us_per_event": round(cost / pushed * 1e6, 2),
        "burst_share_of_a_core": round(cost / pushed * 50_000, 3),
    }


async def _tailing(subject: Subject, given: Given) -> dict[str, Any]:
    """Watch the tail go by: memory must not grow once its ring is full."""
    subject.app.call_later(subject.app.show_view, "events")
    await asyncio.sleep(_PAUSE)
    await subject.crowd.pump(given.events // 10)
    before = _resident()
    began = time.perf_counter()
    pushed = await subject.crowd.pump(given.events)
    return {
        "tail_events": pushed,
        "tail_events_per_second": round(pushed / (time.perf_counter() - began), 1),
        "tail_bytes": _resident() - before,
        "resident_bytes": _resident(),
    }


def _resident() -> int:
    gc.collect()
    return read_usage({})[CLIENT].resident


if __name__ == "__main__":
    found = asyncio.run(measure(msgspec.json.decode(sys.stdin.buffer.read(), type=Given)))
    sys.stdout.buffer.write(msgspec.json.encode(found))
