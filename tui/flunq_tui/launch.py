"""Starts the monitor: on a cluster, on files, or on a demonstration of its own."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from flunq_tui.app import Monitor, Options
from flunq_tui.live import LiveSource
from flunq_tui.source import Link

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from flunq.client import Client
    from flunq_tui.source import Source


def live_source(
    connect: Callable[[], AbstractAsyncContextManager[Client]],
    *,
    name: str,
    address: str,
    tenant: str,
    data: Path | None,
    production: bool = False,
) -> LiveSource:
    """Return a cluster as a source."""
    link = Link(name=name, address=address, tenant=tenant, production=production)
    return LiveSource(connect, link=link, data=data)


def run(source: Source, options: Options, *, mouse: bool = True) -> int:
    """Run the monitor until somebody leaves; returns the exit code."""
    monitor = Monitor(source, options)
    calm_collector()
    monitor.run(mouse=mouse)
    return monitor.return_code or 0


def calm_collector() -> None:
    """Look for garbage seldom: nearly all of it goes by itself, and a search stops the screen.

    What is there before the first frame stays, so it need not be looked at ever again.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
