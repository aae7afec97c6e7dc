"""An open execution that went on unheard: the cluster was away, or too much happened at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.support.desk import Desk
from tests.support.monitor import monitor, order, press, recording, screen_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.core.events import LazyEvent
    from flunq_tui.app import Monitor
    from flunq_tui.recorded import Recording

WHOLE = recording(order().run(), "order-1")


def beginning(count: int) -> Recording:
    """Return the order as it was after its first events."""
    details = msgspec.structs.replace(WHOLE.details, seq=count, status="running")
    return msgspec.structs.replace(WHOLE, details=details, events=WHOLE.events[:count])


def reconnect(app: Monitor, source: Desk) -> None:
    app._link_changed(source.link)


def lose_some(app: Monitor, source: Desk) -> None:
    source.lost_events += 1
    app.view.tick()


def look_again(app: Monitor, source: Desk) -> None:
    app.run_command("refresh")


@pytest.mark.parametrize("occasion", [reconnect, lose_some, look_again])
async def test_what_was_not_heard_of_is_read(occasion: object) -> None:
    source = Desk([beginning(5)])
    async with monitor(source, (120, 24)) as (app, pilot):
        await press(pilot, "enter")
        assert "5/5" in screen_text(app)
        source._recordings["order-1"] = WHOLE
        occasion(app, source)  # type: ignore[operator]
        await press(pilot)
        assert "workflow.completed" in screen_text(app)


async def test_what_is_heard_while_the_history_is_read_is_not_lost() -> None:
    class Slow(Desk):
        async def history(self, execution: str) -> AsyncIterator[LazyEvent]:
            async for event in super().history(execution):
                yield event
            if self._recordings[execution] is not WHOLE:
                self._recordings[execution] = WHOLE
                self.publish(WHOLE.events[5:])

    async with monitor(Slow([beginning(5)]), (120, 24)) as (app, pilot):
        await press(pilot, "enter")
        assert "workflow.completed" in screen_text(app)
