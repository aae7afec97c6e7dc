"""A headless Chromium, spoken to through its debugging port."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import ClientWebSocketResponse

NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--remote-debugging-address=127.0.0.1",
    "--remote-debugging-port=0",
    "--window-size=1000,700",
)
_PATIENCE = 30.0


class Page:
    """One tab."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            answer = await self._socket.receive_json(timeout=_PATIENCE)
            if answer.get("id") == self._number:
                return answer.get("result", {})  # type: ignore[no-any-return]

    async def value(self, expression: str) -> Any:
        """Evaluate JavaScript in the page."""
        found = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"].get("value")

    async def until(self, expression: str) -> None:
        """Return once an expression is true."""
        async with asyncio.timeout(_PATIENCE):
            while not await self.value(expression):
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Close the tab, as people do; nobody is left to answer."""
        await self._socket.send_json({"id": 0, "method": "Page.close", "params": {}})


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Page]:
    """Start a browser with an empty page."""
    program = next(found for name in NAMES if (found := shutil.which(name)))
    process = await asyncio.create_subprocess_exec(
        *(program, *_FLAGS, f"--user-data-dir={folder}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port = await _port(folder)
        async with (
            ClientSession() as session,
            session.ws_connect(await _target(session, port), max_msg_size=0) as socket,
        ):
            yield Page(socket)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _port(folder: Path) -> int:
    path = folder / "DevToolsActivePort"
    async with asyncio.timeout(_PATIENCE):
        while not path.exists() or not (text := path.read_text()).count("\n"):
            await asyncio.sleep(0.05)
    return int(text.split("\n")[0])


async def _target(session: ClientSession, port: int) -> str:
    async with asyncio.timeout(_PATIENCE):
        while True:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [each for each in await answer.json() if each["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
            await asyncio.sleep(0.05)
