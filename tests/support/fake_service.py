"""A service process for tests of the supervisor: real lifecycle, no engine inside.

``FLUNQ_FAKE`` (a JSON object, role to behaviour) makes it crash, ignore the drain, or need
something that listens on a port.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

from flunq.services.base import Lifecycle, run_process


async def serve(lifecycle: Lifecycle) -> None:
    behaviour = json.loads(os.environ.get("FLUNQ_FAKE", "{}")).get(lifecycle.name, "")
    if behaviour.startswith("exit"):
        sys.stderr.write(f"{lifecycle.name} has its reasons\n")
        os._exit(int(behaviour.removeprefix("exit")))
    if behaviour.startswith("needs") and not _listens(int(behaviour.removeprefix("needs"))):
        os._exit(6)
    lifecycle.ready()
    await lifecycle.stop.wait()
    if behaviour == "stubborn":
        await asyncio.Event().wait()
    marker = os.environ.get("FLUNQ_FAKE_DRAINED")
    if marker:
        Path(marker, lifecycle.name).touch()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def answer(lifecycle: Lifecycle, fd: int) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nok\n")
        writer.close()

    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    async with await asyncio.start_server(respond, sock=sock):
        await serve(lifecycle)


def main() -> None:
    settings = json.loads(Path(os.environ["FLUNQ_NODE_CONFIG"]).read_text())
    fd = settings.get("socket")
    run_process(
        (lambda lifecycle: answer(lifecycle, fd)) if fd is not None else serve,
        name=settings["node"],
        drain=0.5,
    )


if __name__ == "__main__":
    main()
