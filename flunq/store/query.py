"""Runs a query in a child process: spawned early, told once, read frame by frame, or killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from flunq.errors import FlunqError, InternalError, RejectedError, WaitTimeoutError
from flunq.store.query_job import Done, Job, Limits, Refused, Reply, decode_reply, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_ARGUMENTS = ("-I", "-m", "flunq.store.sandbox")
_LENGTH = 4
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")
DEADLY_LIMITS = frozenset({-signal.SIGXCPU})


class QueryProcess:
    """One child process, which answers one query. Use it with ``async with``."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        environment = {k: os.environ[k] for k in _KEPT_VARIABLES if k in os.environ}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *_ARGUMENTS,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            # Ctrl-C is for this process, which decides what becomes of its child.
            start_new_session=True,
            env={**environment, "MALLOC_ARENA_MAX": "2"},
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        process = self._running
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()

    @property
    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        """Return the child's process id."""
        return self._running.pid

    async def answer(self, job: Job) -> AsyncIterator[Reply]:
        """Send the job and yield what the child says, a header first.

        Raises RejectedError when the query is refused or wants more memory than it may have, and
        WaitTimeoutError when it takes too long.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + job.limits.seconds
        await self._send(job)
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    reply = await self._receive(job.limits)
            except TimeoutError:
                raise _too_slow(job.limits) from None
            if isinstance(reply, Refused):
                raise reply.error()
            yield reply
            if isinstance(reply, Done):
                return

    async def _send(self, job: Job) -> None:
        stdin = self._running.stdin
        assert stdin is not None
        with suppress(BrokenPipeError, ConnectionResetError):
            stdin.write(encode(job) + b"\n")
            await stdin.drain()
            stdin.close()

    async def _receive(self, limits: Limits) -> Reply:
        stdout = self._running.stdout
        assert stdout is not None
        try:
            size = int.from_bytes(await stdout.readexactly(_LENGTH), "big")
            reply: Reply = decode_reply(await stdout.readexactly(size))
        except asyncio.IncompleteReadError:
            raise _death(await self._running.wait(), limits) from None
        return reply


def _too_slow(limits: Limits) -> WaitTimeoutError:
    return WaitTimeoutError(
        f"the query took longer than {limits.seconds:g} seconds and was stopped",
        hint="ask for less at once, or allow more with --timeout",
    )


def _death(code: int, limits: Limits) -> FlunqError:
    """Return why a child ended without an answer; what the kernel stops has no last words."""
    if code in DEADLY_LIMITS:
        return _too_slow(limits)
    if code < 0:
        return RejectedError(
            "the query needs more memory than it may use",
            hint="ask for less at once, or allow more with --memory",
        )
    return InternalError(f"the query's process ended with code {code}")
