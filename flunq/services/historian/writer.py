"""The writer process as the historian sees it: started when needed, gone when idle."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio import IncompleteReadError
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from flunq.store.writing import (
    FAILURE,
    FRAME,
    ORDER,
    RECORDS,
    Flush,
    Order,
    join_record,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flunq.log.ports import Record
    from flunq.services.historian.slots import Slots

T = TypeVar("T")

ORDER_SECONDS = 900.0
"""No order takes longer, or the process hangs."""


class WriterError(Exception):
    """The writer could not do it; what it was sent since its last files is lost with it."""


class Writer:
    """One writer process at most; nothing else may use DuckDB in the control process."""

    def __init__(self, folder: Path, tenant: str, slots: Slots) -> None:
        self._folder = folder
        self._tenant = tenant
        self._slots = slots
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._dirty = False
        self._used = 0.0
        self.peak_memory = 0
        """Bytes that a writer process had resident, at most, when last looked at."""

    @property
    def pid(self) -> int | None:
        """Return the process id, if there is a process."""
        return self._process.pid if self._process else None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is lost when the process ends."""
        return self._process is not None and not self._dirty and not self._turn.locked()

    async def make_way(self) -> None:
        """End the process, if it is idle."""
        if self.is_idle:
            async with self._turn:
                if not self._dirty:  # somebody may have been first
                    await self._kill()

    async def send(self, records: Iterable[Record]) -> None:
        """Hand over journal records; returns once the pipe has taken them."""
        body = b"".join(
            join_record(record.seq, record.partition, record.data) for record in records
        )
        async with self._turn:
            self._dirty = True
            await self._write(RECORDS, body)

    async def order(self, order: Order, kind: type[T]) -> T:
        """Let the writer do something and return its answer."""
        async with self._turn:
            await self._started()  # to wait for a slot is no work
            try:
                async with asyncio.timeout(ORDER_SECONDS):
                    await self._write(ORDER, msgspec.json.encode(order))
                    answer, body = await self._read()
            except TimeoutError:
                await self._kill()
                raise WriterError(f"the writer took longer than {ORDER_SECONDS:g} s") from None
            except asyncio.CancelledError:
                # Its answer would be taken for that of the next order.
                await self._kill()
                raise
            if answer == FAILURE:
                # What it had spooled may be half in files: those that nobody lists do not count.
                await self._kill()
                raise WriterError(body.decode())
        if isinstance(order, Flush):
            self._dirty = False
        self._slots.used(self)
        self._note_memory()
        return msgspec.json.decode(body, type=kind)

    async def rest(self, idle_seconds: float) -> None:
        """End the process if it has had nothing to do for so long."""
        if asyncio.get_running_loop().time() - self._used > idle_seconds:
            await self.make_way()

    async def stop(self) -> None:
        """End the process, and with it whatever it was sent and is doing."""
        await self._kill()

    async def _started(self) -> Process:
        if self._process is not None:
            return self._process
        await self._slots.take(self)
        try:
            self._process = await self._spawn()
        except BaseException:
            self._slots.give(self)
            raise
        return self._process

    async def _spawn(self) -> Process:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return await create_subprocess_exec(
            *(sys.executable, "-I", "-m", "flunq.store.writer"),
            *(str(self._folder), self._tenant, str(os.getpid())),
            stdin=PIPE,
            stdout=PIPE,
            # Without these what was freed stays with the process.
            env={"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "1048576"},
            cwd="/",
            start_new_session=True,
        )

    async def _write(self, kind: bytes, body: bytes) -> None:
        self._used = asyncio.get_running_loop().time()
        process = await self._started()
        assert process.stdin is not None
        try:
            process.stdin.writelines([FRAME.pack(kind, len(body)), body])
            await process.stdin.drain()
        except OSError as error:
            await self._kill()
            raise WriterError(f"the writer process died: {error}") from error

    async def _read(self) -> tuple[bytes, bytes]:
        assert self._process is not None
        assert self._process.stdout is not None
        stdout = self._process.stdout
        try:
            kind, size = FRAME.unpack(await stdout.readexactly(FRAME.size))
            return kind, await stdout.readexactly(size)
        except (IncompleteReadError, OSError) as error:
            await self._kill()
            raise WriterError("the writer process died") from error

    async def _kill(self) -> None:
        process, self._process = self._process, None
        self._dirty = False
        if process is None:
            return
        self._slots.give(self)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(OSError):
            await process.stdin.wait_closed()

    def _note_memory(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(OSError):  # a machine without procfs tells nothing
            for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    self.peak_memory = max(self.peak_memory, int(line.split()[1]) * 1024)
