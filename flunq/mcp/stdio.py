"""A session on stdin and stdout, for an agent that starts ``flunq mcp`` as a program."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import TYPE_CHECKING

import msgspec

from flunq.mcp.server import McpServer

if TYPE_CHECKING:
    from flunq.client import Client
    from flunq.mcp.messages import Message
    from flunq.mcp.settings import McpSettings

_LONGEST = 16 << 20


async def serve_stdio(client: Client, settings: McpSettings) -> None:
    """Answer on stdout what comes from stdin, until that ends; raises UsageError before."""
    server = McpServer(client, settings, _write)
    await server.check()
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    def read() -> None:
        # A thread, since a file as stdin cannot be waited for by an event loop.
        while line := sys.stdin.buffer.readline(_LONGEST):
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, name="flunq-stdin", daemon=True).start()
    await server.serve(lines)


def _write(message: Message) -> None:
    line = msgspec.json.encode(message) + b"\n"
    while line:
        line = line[os.write(sys.stdout.fileno(), line) :]
