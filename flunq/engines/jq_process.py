"""A pool of child processes that evaluate untrusted jq programs.

libjq shows a program the environment, reads files, cannot be interrupted and aborts the
process when memory runs out. So it runs in children with an empty environment, a memory
limit and a deadline; one that overruns is killed and replaced, and its evaluation is
answered with an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import sys
from asyncio import IncompleteReadError
from asyncio.subprocess import DEVNULL, PIPE, Process, create_subprocess_exec
from typing import TYPE_CHECKING, Self

import msgspec

from flunq.core.expressions import Answer, Need
from flunq.engines import jq_worker
from flunq.errors import UnavailableError

if TYPE_CHECKING:
    from types import TracebackType

_log = logging.getLogger(__name__)

_START_DEADLINE = 20.0
_START_PAUSES = (0.05, 0.2, 0.5, 1.0, 2.0)
_KILLS = (-signal.SIGKILL, -signal.SIGTERM)
_MAX_KILLS = 2
_DIED = "the expression ran out of memory or crashed its process"
_WARM_UP = Need(key="", program=".", input=None, variables={})


class _ChildError(Exception):
    """The child cannot be used any more; the message is the answer."""


class _KilledError(_ChildError):
    """Somebody else killed the child: the program is not to blame."""


class _Child:
    """One child process and its pipes."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self.retired = False

    @classmethod
    async def start(cls, memory: int, cpu_seconds: int) -> _Child:
        """Start a child and wait until it answers."""
        limits = (str(memory), str(cpu_seconds), str(os.getpid()))
        process = await create_subprocess_exec(
            *(sys.executable, "-I", jq_worker.__file__, *limits),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
        )
        child = cls(process)
        async with contextlib.AsyncExitStack() as unless_started:
            unless_started.push_async_callback(child.stop)
            await child.ask(_WARM_UP, _START_DEADLINE)
            unless_started.pop_all()
        return child

    @classmethod
    async def start_insistently(cls, memory: int, cpu_seconds: int) -> _Child:
        """Start a child; one that dies before its first answer is no program's fault."""
        for pause in _START_PAUSES:
            try:
                return await cls.start(memory, cpu_seconds)
            except _ChildError as error:
                _log.warning("an expression process did not start: %s", error)
                await asyncio.sleep(pause)
        return await cls.start(memory, cpu_seconds)

    async def ask(self, need: Need, deadline: float) -> Answer:
        """Return the answer, or raise _ChildError when the child is lost."""
        try:
            async with asyncio.timeout(deadline):
                self._stdin.writelines(_request(need))
                await self._stdin.drain()
                header = await self._stdout.readexactly(jq_worker.REPLY.size)
                kind, size = jq_worker.REPLY.unpack(header)
                body = await self._stdout.readexactly(size)
        except TimeoutError:
            raise _ChildError(f"the expression took longer than {deadline:g} s") from None
        except (IncompleteReadError, OSError):
            ended = await self._process.wait()
            raise (_KilledError if ended in _KILLS else _ChildError)(_DIED) from None
        self.retired = kind.isupper()
        return _answer(kind, body)

    async def stop(self) -> None:
        """Kill the process and wait for its end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._stdin.close()
        with contextlib.suppress(OSError):
            await self._stdin.wait_closed()


def _request(need: Need) -> list[bytes]:
    program = need.program.encode()
    names = msgspec.json.encode(list(need.variables))
    data = msgspec.json.encode([need.input, *need.variables.values()])
    return [jq_worker.REQUEST.pack(len(program), len(names), len(data)), program, names, data]


def _answer(kind: bytes, body: bytes) -> Answer:
    if kind.lower() == jq_worker.ERROR:
        return Answer(error=body.decode())
    try:
        return Answer(value=msgspec.json.decode(body))
    except (msgspec.DecodeError, RecursionError) as error:
        return Answer(error=f"the result of the expression cannot be read: {error}")


class JqPool:
    """The expression engine of a node; ``async with`` it.

    Children are started when they are first needed. ``deadline`` is in seconds and counts
    from when a child has taken the evaluation; ``memory`` is the address space of a child.
    """

    def __init__(self, *, size: int = 2, deadline: float = 2.0, memory: int = 512 << 20) -> None:
        self._deadline = deadline
        self._memory = memory
        self._slots = asyncio.Semaphore(size)
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Kill all children; evaluations under way are answered with an error."""
        self._closed = True
        children = [*self._idle, *self._busy]
        self._idle.clear()
        await asyncio.gather(*(child.stop() for child in children))

    @property
    def children(self) -> int:
        """How many child processes there are now."""
        return len(self._idle) + len(self._busy)

    async def evaluate(self, need: Need) -> Answer:
        """Answer a need; a bad program, an overrun or a crash is an answer with an error."""
        async with self._slots:
            if self._closed:
                raise UnavailableError("The expression engine is closed")
            try:
                return await self._ask_patiently(need)
            except _ChildError as error:
                return Answer(error=str(error))
            except (UnicodeEncodeError, RecursionError) as error:
                return Answer(error=f"the values cannot be written as JSON: {error}")

    async def _ask_patiently(self, need: Need) -> Answer:
        """Ask again while children are killed from outside, but not for ever."""
        for _ in range(_MAX_KILLS):
            try:
                return await self._ask(need)
            except _KilledError:
                if self._closed:
                    raise
        return await self._ask(need)

    async def _start(self) -> _Child:
        try:
            return await _Child.start_insistently(self._memory, math.ceil(self._deadline))
        except OSError as error:
            raise _ChildError(f"the expression engine does not start: {error}") from error

    async def _ask(self, need: Need) -> Answer:
        child = self._idle.pop() if self._idle else await self._start()
        if self._closed:  # while the child started
            await child.stop()
            raise _ChildError("the expression engine is closed")
        self._busy.add(child)
        reusable = False
        try:
            answer = await child.ask(need, self._deadline)
            reusable = not child.retired
            return answer
        finally:
            self._busy.discard(child)
            if reusable and not self._closed:
                self._idle.append(child)
            else:
                await child.stop()
