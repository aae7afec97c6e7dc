"""Draw the pictures of the documentation: the monitor on its own demonstration, as SVG.

Usage: python scripts/screenshots.py [FOLDER]   (default docs/images)
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flunq_tui.app import Monitor, Options
from flunq_tui.demo.cluster import DemoCluster
from flunq_tui.launch import live_source
from flunq_tui.views.execution import ExecutionView

if TYPE_CHECKING:
    from textual.pilot import Pilot

ROOT = Path(__file__).resolve().parent.parent
SIZE = (120, 30)
LIVELY = 60
"""Executions after which there is something to see."""


async def until(pilot: Pilot[None], ready: object) -> None:
    """Let the monitor go on until there is something to see."""
    assert callable(ready)
    async with asyncio.timeout(120):
        while not ready():
            await pilot.pause(0.1)


async def draw(cluster: DemoCluster, folder: Path) -> None:
    """Go through the views and save what they show."""
    source = live_source(
        cluster.connect, name="demo", address="", tenant="default", data=cluster.folder
    )
    app = Monitor(source, Options())
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.view.items())
        table = app.view.table()
        assert table is not None
        await until(pilot, lambda: table.count() >= LIVELY)
        save(app, folder / "executions.svg")
        app.run_command("overview")
        await pilot.pause(3)
        save(app, folder / "overview.svg")
        await open_failure(app, pilot)
        save(app, folder / "execution.svg")


async def open_failure(app: Monitor, pilot: Pilot[None]) -> None:
    """Open an order at the event at which its payment failed."""
    app.run_command("executions workflow=order status:completed")
    await pilot.pause(1.5)
    await pilot.press("enter")
    await pilot.pause(1.5)
    view = app.view
    assert isinstance(view, ExecutionView)
    view.do_next_failure()
    view.seek(view.position + 5)
    view.show_pane("graph")
    await pilot.pause(0.5)


def save(app: Monitor, path: Path) -> None:
    """Write the screen as SVG."""
    path.write_text(app.export_screenshot(title="flunq tui"), encoding="utf-8")
    print(f"wrote {path}")


def main() -> int:
    """Draw everything."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with DemoCluster() as cluster:
        asyncio.run(draw(cluster, folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
