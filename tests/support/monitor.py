"""Runs the monitor on recordings and shows its screen as text."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from flunq.core.events import LazyEvent
from flunq.core.protocol import Definition, DefinitionText, Details
from flunq_tui.app import Monitor, Options
from flunq_tui.recorded import RecordedSource, Recording
from tests.support.driver import EPOCH, Driver, error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from textual.pilot import Pilot

    from flunq.core.events import CloudEvent
    from flunq_tui.source import Source

GRIDS = Path(__file__).parent.parent / "tui" / "grids"
NOW = EPOCH + 60_000_000

ORDER = """\
document: {dsl: 1.0.3, namespace: shop, name: order, version: 1.0.0, title: An order}
input:
  schema:
    document:
      type: object
      required: [id]
      properties:
        id: {type: string, title: number of the order}
        size: {enum: [small, large]}
        count: {type: integer}
do:
  - price:
      call: price
  - pay:
      try:
        - charge: {call: charge}
      catch:
        retry: {delay: {seconds: 5}, limit: {attempt: {count: 4}}}
  - pack:
      for: {each: line, in: '${ $workflow.input.lines }'}
      do:
        - wrap: {set: {line: '${ $line }'}}
  - rest: {wait: {seconds: 30}}
  - ship: {set: {shipped: true}, export: {as: '${ {shipped: true} }'}}
"""
REFUSAL = error("communication", 503, title="Provider is down", detail="try again later")


def order(**results: Any) -> Driver:
    """Return an order that is paid at the third attempt."""
    outcomes = {"price": {"cents": 230}, "charge": [REFUSAL, REFUSAL, {"paid": True}], **results}
    return Driver(yaml.safe_load(ORDER), {"id": "o-1", "lines": ["a", "b"]}, outcomes)


def lazy(events: Sequence[CloudEvent], execution: str = "x1") -> tuple[LazyEvent, ...]:
    """Return events as a client gets them."""
    found = [msgspec.json.decode(msgspec.json.encode(each), type=LazyEvent) for each in events]
    return tuple(msgspec.structs.replace(each, subject=execution) for each in found)


def definition(text: str = ORDER) -> DefinitionText:
    """Return a registered definition."""
    document = yaml.safe_load(text)
    head = document["document"]
    return DefinitionText(
        definition=Definition(
            namespace=head["namespace"],
            name=head["name"],
            version=head["version"],
            digest=head["name"],
            created_at=EPOCH,
            title=head.get("title", ""),
            latest=True,
        ),
        text=text,
        document=document,
    )


def recording(driver: Driver, execution: str = "x1", *, after: int = 0) -> Recording:
    """Return what a driver did as a recorded execution."""
    state = driver.live
    ref = driver.env.workflow.ref
    return Recording(
        details=Details(
            id=execution,
            namespace=ref.namespace,
            workflow=ref.name,
            version=ref.version,
            digest=ref.digest,
            status=state.status,
            started_at=state.started_at + after,
            ended_at=state.ended_at or None,
            input=state.input,
            output=state.output,
            failure=state.failure,
            seq=state.seq,
        ),
        events=lazy(driver.events, execution),
        definition=definition(),
    )


def summaries(count: int) -> list[Recording]:
    """Return so many executions without histories."""
    statuses = ("completed", "running", "faulted", "waiting")
    return [
        Recording(
            details=Details(
                id=f"run-{number:06d}",
                namespace="shop",
                workflow=("order", "refund")[number % 2],
                version="1.0.0",
                digest="",
                status=statuses[number % 4],
                started_at=EPOCH + number * 1_000,
                ended_at=None if number % 2 else EPOCH + number * 2_000,
            )
        )
        for number in range(count)
    ]


def shop() -> RecordedSource:
    """Return three executions: completed, faulted and one that waits for its next attempt."""
    faulted = order(charge=[REFUSAL]).run()
    retrying = order().begin()
    retrying.work()
    retrying.work()
    return RecordedSource(
        [
            recording(order().run(), "order-1"),
            recording(faulted, "order-2", after=2_000_000),
            recording(retrying, "order-3", after=4_000_000),
        ],
        name="shop",
    )


def screen_text(app: Monitor) -> str:
    """Return what is on the screen, a line each."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


async def settled(pilot: Pilot[Any]) -> None:
    """Return once everything that was begun is done and drawn."""
    app = pilot.app
    for _ in range(3):
        await pilot.pause()
        waiting = [each for each in app.workers if each.group != "open" and not each.is_finished]
        if app.screen_stack[1:]:
            break  # a dialog waits for somebody
        await app.workers.wait_for_complete(waiting)
    await pilot.pause()


@asynccontextmanager
async def monitor(
    source: Source, size: tuple[int, int] = (100, 24), **options: Any
) -> AsyncIterator[tuple[Monitor, Pilot[None]]]:
    """Run the monitor with a clock that stands still."""
    given = {"now": lambda: NOW, "zone": UTC, **options}
    app = Monitor(source, Options(**given))
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        yield app, pilot


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys, one after the other has been dealt with; without keys let things settle."""
    for key in keys:
        await pilot.press(key)
        await settled(pilot)
    if not keys:
        await settled(pilot)


def assert_grid(app: Monitor, name: str) -> None:
    """Compare the screen with a file; FLUNQ_UPDATE_GRIDS=1 writes it."""
    path = GRIDS / f"{name}.txt"
    found = screen_text(app)
    if os.environ.get("FLUNQ_UPDATE_GRIDS"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")
