"""What engine processes tell the owners: outcomes, starts and ends of child executions.

Many go into one message, and none is lost on the way.
"""

from __future__ import annotations

import asyncio
import logging
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from flunq.core.execution.commands import Failure, Report, Start
from flunq.core.ids import partition_of
from flunq.core.protocol import MAX_MESSAGE, EngineCommand, Reply, Reports, report_subject
from flunq.log.ports import (
    NoResponderError,
    OutcomeUnknownError,
    RequestTimeoutError,
    StoreFullError,
)
from flunq.sdk.executor import ERRORS
from flunq.services.wire import encode_claim, encode_commands

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.log.ports import Blobs, EventStream

_LOGGER = logging.getLogger("flunq.courier")
_C = TypeVar("_C", bound="EngineCommand")
_encode = msgspec.json.Encoder().encode
_replies = msgspec.json.Decoder(list[Reply]).decode

ANSWER_TIMEOUT = 2.0
MAX_OUTPUT = 64 * 1024 * 1024
MAX_BATCH = MAX_MESSAGE // 2
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0


class _Parcel:
    """One command, its size as JSON and whoever waits for it to be safe."""

    __slots__ = ("command", "safe", "size")

    def __init__(self, command: EngineCommand, safe: Callable[[Any], Any] | None) -> None:
        self.size = len(_encode(command))
        if self.size > MAX_OUTPUT and isinstance(command, Report):
            command = _too_large(command, self.size)
            self.size = len(_encode(command))
        self.command = command
        self.safe = safe

    @property
    def id(self) -> str:
        """Return what tells a repeat of this command from others."""
        command = self.command
        if isinstance(command, Report):
            return command.task
        place = getattr(command, "partition", None)
        return f"{type(command).__name__}:{command.id}" + (f"@{place}" if place is not None else "")


def _home_of(command: EngineCommand, partitions: int) -> int:
    """Return where a command is taken: starts that are collected go to their group."""
    if isinstance(command, Start) and command.partition is not None:
        return command.partition % partitions
    return partition_of(command.id, partitions)


class Courier:
    """Brings commands to whichever node owns the execution, one message per partition at a time.

    What comes while a message is under way goes with the next one. If no owner answers, the
    commands are stored in the partition's inbox.
    """

    def __init__(
        self,
        stream: EventStream,
        *,
        tenant: str,
        partitions: int,
        blobs: Blobs | None = None,
        answer_timeout: float = ANSWER_TIMEOUT,
    ) -> None:
        self._stream = stream
        self._tenant = tenant
        self._partitions = partitions
        self._blobs = blobs
        self._answer_timeout = answer_timeout
        self._waiting: dict[int, list[_Parcel]] = {}
        self._lanes: dict[int, asyncio.Task[None]] = {}

    async def deliver(self, command: EngineCommand) -> None:
        """Return once the owner, or the inbox, has a command durably."""
        safe = asyncio.Event()
        self.send(command, lambda _: safe.set())
        await safe.wait()

    def send(self, command: _C, safe: Callable[[_C], Any] | None = None) -> None:
        """Take a command on; ``safe`` is called once its owner, or the inbox, has it durably."""
        partition = _home_of(command, self._partitions)
        self._waiting.setdefault(partition, []).append(_Parcel(command, safe))
        if partition not in self._lanes:
            self._lanes[partition] = asyncio.create_task(self._drive(partition))

    async def flush(self, within: float) -> bool:
        """Wait until everything is safe; tell whether it is."""
        if self._lanes:
            await asyncio.wait(list(self._lanes.values()), timeout=within)
        return not self._lanes

    async def aclose(self) -> None:
        """Give up on what is under way; unacknowledged tasks are delivered again."""
        lanes = list(self._lanes.values())
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)

    async def _drive(self, partition: int) -> None:
        try:
            while batch := self._next_batch(partition):
                await self._deliver(partition, batch)
        finally:
            del self._lanes[partition]

    def _next_batch(self, partition: int) -> list[_Parcel]:
        waiting = self._waiting.get(partition, [])
        size = count = 0
        for parcel in waiting:
            size += parcel.size
            if count and size > MAX_BATCH:
                break
            count += 1
        self._waiting[partition] = waiting[count:]
        return waiting[:count]

    async def _deliver(self, partition: int, batch: list[_Parcel]) -> None:
        pause = FIRST_PAUSE
        while not await self._bring(partition, batch):
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        for parcel in batch:
            if parcel.safe is not None:
                parcel.safe(parcel.command)

    async def _bring(self, partition: int, batch: list[_Parcel]) -> bool:
        """Bring a batch to its owner or the inbox; repeats are harmless there."""
        try:
            for parcel in await self._ask(partition, batch):
                await self._store(partition, parcel)
        except Exception:  # whoever waits for these to be safe would wait for ever
            _LOGGER.exception("what is meant for partition %d waits", partition)
            return False
        return True

    async def _ask(self, partition: int, batch: list[_Parcel]) -> list[_Parcel]:
        """Ask the owner to take a batch; return what it did not take."""
        subject = report_subject(self._tenant, partition)
        body = _encode(Reports(reports=[parcel.command for parcel in batch]))
        if len(body) > MAX_MESSAGE:
            return batch
        try:
            answer = await self._stream.requests.request(
                subject, body, timeout=self._answer_timeout
            )
            replies = _replies(answer)
        except (NoResponderError, RequestTimeoutError, OutcomeUnknownError):
            return batch
        except msgspec.DecodeError:
            _LOGGER.warning("the owner of partition %d answered nonsense", partition)
            return batch
        if len(replies) != len(batch):
            return batch
        return [parcel for parcel, reply in zip(batch, replies, strict=True) if reply.code >= 500]

    async def _store(self, partition: int, parcel: _Parcel) -> None:
        """Put a command into the inbox, for as long as it takes."""
        pause = FIRST_PAUSE
        while True:
            try:
                body = await self._claimed(encode_commands([parcel.command]))
                await self._stream.inbox.publish(partition, body, message_id=parcel.id)
            except (OutcomeUnknownError, StoreFullError) as error:
                _LOGGER.warning("%s is not delivered yet: %r", parcel.id, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                return

    async def _claimed(self, body: bytes) -> bytes:
        if len(body) <= MAX_MESSAGE or self._blobs is None:
            return body
        key = blake2b(body, digest_size=20).hexdigest()
        await self._blobs.put(key, body)
        return encode_claim(key)


def _too_large(report: Report, size: int) -> Report:
    failure = Failure(
        type=ERRORS + "runtime",
        status=500,
        title="The output is too large",
        detail=f"{size} bytes of output, the limit is {MAX_OUTPUT}",
    )
    return msgspec.structs.replace(report, output=None, failure=failure)
