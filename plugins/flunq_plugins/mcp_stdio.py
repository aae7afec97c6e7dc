"""MCP with a program of this machine: one message a line, on its stdin and stdout."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import IO, TYPE_CHECKING, Any, cast

from flunq.sdk.executor import TaskError
from flunq_plugins import jsonrpc
from flunq_plugins.mcp_session import answers
from flunq_plugins.process_arguments import mapping, require_programs, text
from flunq_plugins.process_child import Child, Order, Output, start

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.sdk.context import TaskContext
    from flunq.sdk.executor import Call
    from flunq_plugins.mcp_session import Answer

_PATIENCE = 1.0
"""Seconds for a server to end by itself once its stdin is closed."""
_EXCERPT = 1000


class _Lines(Output):
    """The lines that a server writes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._left = limit
        self._rest = bytearray()
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    def data_received(self, data: bytes) -> None:
        """Keep complete lines, and the beginning of the next."""
        self._left -= len(data)
        if self._left < 0:
            self.overflowed = True
            self._rest.clear()
            self._lines.put_nowait(None)
            return
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._lines.put_nowait(bytes(self._rest + line))
            self._rest.clear()
        self._rest += rest

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that no line will follow."""
        super().connection_lost(exc)
        self._lines.put_nowait(None)

    async def next(self) -> bytes | None:
        """Return the next line, or None after the last."""
        return None if self.overflowed else await self._lines.get()


class StdioTransport:
    """Runs a server as a child process for the time of one session."""

    def __init__(self, wanted: dict[str, Any], call: Call, context: TaskContext) -> None:
        require_programs(context)
        self._order = _order(wanted, call, context)
        self._limit = context.settings.max_body
        self._stdout = _Lines(self._limit)
        self._stderr = Output(None)
        self._child: Child | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._done = False

    async def open(self) -> None:
        """Start the server."""
        reading, writing = os.pipe()
        ours = cast("IO[bytes]", os.fdopen(writing, "wb", 0))
        with contextlib.ExitStack() as unless_started:
            unless_started.callback(ours.close)
            with cast("IO[bytes]", os.fdopen(reading, "rb", 0)) as theirs:
                self._child = await start(self._order, self._stdout, self._stderr, theirs)
            unless_started.pop_all()
        loop = asyncio.get_running_loop()
        self._stdin, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, ours)

    async def exchange(self, message: dict[str, Any], answer: Callable[[Any], Answer]) -> Any:
        """Send a request and return its response; what is no message is passed over."""
        self._write(message)
        while (line := await self._stdout.next()) is not None:
            received = jsonrpc.decode(line)
            for part in received if isinstance(received, list) else [received]:
                if answers(part, message):
                    self._done = True
                    return part
                if (said := answer(part)) is not None:
                    self._write(said)
        raise await self._lost(str(message["method"]))

    async def notify(self, message: dict[str, Any]) -> None:
        """Send a message that nobody answers."""
        self._write(message)

    def agreed(self, version: str) -> None:
        """Nothing changes with the version here."""

    async def aclose(self) -> None:
        """Close stdin, and see to it that the server and all that it started are gone."""
        if self._stdin is not None:
            self._stdin.close()
        if self._child is None:
            return
        try:
            # A server that answered may end by itself, one that did not has had its time.
            async with asyncio.timeout(_PATIENCE if self._done else 0):
                await asyncio.wait([self._child.life])
        except TimeoutError:
            pass
        finally:
            self._child.stop()
            await asyncio.shield(asyncio.wait([self._child.life]))
            with contextlib.suppress(TaskError):
                self._child.life.result()

    def _write(self, message: Any) -> None:
        if self._stdin is not None and not self._stdin.is_closing():
            self._stdin.write(jsonrpc.encode(message) + b"\n")

    async def _lost(self, method: str) -> TaskError:
        """Return the error for a server that will not answer any more."""
        if self._stdout.overflowed:
            detail = f"{method}: the MCP server wrote more than {self._limit} bytes"
            return TaskError("communication", 502, "The response is too large", detail)
        assert self._child is not None
        self._child.stop()
        ended = await self._child.ended()
        detail = f"{method}: the MCP server ended with exit code {ended.code} and gave no answer"
        if said := self._stderr.text():
            detail += f": {said[-_EXCERPT:].strip()}"
        return TaskError("communication", 502, "The MCP server ended", detail)


def _order(wanted: dict[str, Any], call: Call, context: TaskContext) -> Order:
    command = wanted.get("command")
    arguments = wanted.get("arguments") or []
    if not isinstance(command, str) or not command:
        raise _invalid("transport.stdio needs a command")
    if not isinstance(arguments, list):
        raise _invalid("transport.stdio.arguments must be a list")
    declared = mapping(wanted.get("environment") or {}, "transport.stdio.environment")
    settings = context.settings
    return Order(
        argv=[command, *(text(value) for value in arguments)],
        environment={
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            **{name: text(value) for name, value in declared.items() if value is not None},
            "FLUNQ_EXECUTION": call.execution,
            "FLUNQ_KEY": call.key,
            "FLUNQ_ATTEMPT": str(call.attempt),
        },
        limits={
            "RLIMIT_CORE": 0,
            "RLIMIT_DATA": settings.program_memory,
            "RLIMIT_FSIZE": settings.program_file_size,
        },
        processes=settings.program_processes,
    )


def _invalid(problem: str) -> TaskError:
    return TaskError("validation", 400, "Not a valid MCP call", problem)
