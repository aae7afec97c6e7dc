"""The server of ``flunq tui --web``; imported only where the extra ``web`` is installed."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import web
from textual_serve import server as serving
from textual_serve.app_service import AppService

from flunq.services.signals import handle_signals
from flunq_tui.web import guard

if TYPE_CHECKING:
    from asyncio.subprocess import Process

_GRACE_SECONDS = 5.0


class Page(AppService):
    """The monitor of one page; it is over when its process is."""

    async def stop(self) -> None:
        """Let the process end, and wait until it has; the browser's leaving cancels the rest."""
        try:
            await super().stop()
        finally:
            if self._process is not None:
                await _ended(self._process)


class GuardedServer(serving.Server):
    """Serves the monitor behind a token and says nothing on the terminal."""

    def __init__(self, command: str, host: str, port: int, token: str) -> None:
        # What it makes for each page: there is no other way to say so.
        serving.AppService = Page  # type: ignore[attr-defined]
        super().__init__(command, host=host, port=port, title="flunq")
        self._token = token
        self._pages: set[asyncio.Task[object]] = set()

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(guard(self._token))
        return app

    async def on_startup(self, app: web.Application) -> None:
        """The address was printed already."""

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one page, and remember that it is open."""
        page = asyncio.current_task()
        assert page is not None
        self._pages.add(page)
        try:
            return await super().handle_websocket(request)
        finally:
            self._pages.discard(page)

    async def on_shutdown(self, app: web.Application) -> None:
        """Let each page's monitor end by itself, so that it leaves nothing behind."""
        for page in self._pages:
            page.cancel()
        await asyncio.gather(*self._pages, return_exceptions=True)

    async def application(self) -> web.Application:
        """Return what answers the browser."""
        return await self._make_app()


async def _ended(process: Process) -> None:
    """Wait for the end of a process that was told to quit, or has nobody to talk to any more."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(_GRACE_SECONDS):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def run_server(command: str, host: str, port: int, token: str) -> None:
    """Answer until SIGINT or SIGTERM."""
    runner = web.AppRunner(await GuardedServer(command, host, port, token).application())
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        await _stopped()
    finally:
        await runner.cleanup()


async def _stopped() -> None:
    stop = asyncio.Event()
    handle_signals((signal.SIGINT, signal.SIGTERM), stop.set)
    await stop.wait()
