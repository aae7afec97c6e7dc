"""One historian per tenant: who it is stands in the store, and a lock guards the folder.

A historian renews its entry by compare-and-set. Another takes it over when it has not changed for
a while by its own clock, or at once when it holds the lock of the same folder on the same machine:
then the one before is surely gone. The manifest's generation is the last line of defence.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import socket
from typing import TYPE_CHECKING

import msgspec

from flunq.core.ids import token
from flunq.log.ports import OutcomeUnknownError, RevisionConflictError

if TYPE_CHECKING:
    from pathlib import Path

    from flunq.log.ports import KeyValue

log = logging.getLogger(__name__)

OFFICES = HISTORIAN, TRACER, ALERTER = "historian", "tracer", "alerter"
RENEW_SECONDS = 10.0
PATIENCE = 3


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The historian of a tenant, and where its archive is."""

    incarnation: str
    host: str
    folder: str
    pid: int
    beat: int = 0
    left: bool = False


class FolderLock:
    """The exclusive right to write into a lake on this machine; ends with the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd: int | None = None

    def acquire(self) -> bool:
        """Try to take the lock."""
        if self._fd is not None:
            return True
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def release(self) -> None:
        """Give the lock up."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class Tenure:
    """This process's claim to be the historian of a tenant."""

    def __init__(
        self,
        state: KeyValue,
        tenant: str,
        folder: Path,
        incarnation: str,
        *,
        office: str = HISTORIAN,
        renew_seconds: float = RENEW_SECONDS,
    ) -> None:
        """An ``office`` is held by one process of a tenant; each has a folder of its own."""
        self._state = state
        self._office = office
        self._key = f"{token(tenant)}.{office}"
        self._lock = FolderLock(folder)
        self._me = Holder(
            incarnation=incarnation, host=socket.gethostname(), folder=str(folder), pid=os.getpid()
        )
        self._renew_seconds = renew_seconds
        self._revision = 0
        self._unchanged = 0
        self.holder: Holder | None = None
        """Who holds it, as last seen."""

    @property
    def mine(self) -> bool:
        """Whether this process is the historian."""
        return self.holder is not None and self.holder.incarnation == self._me.incarnation

    async def gained(self) -> None:
        """Return once this process is the historian."""
        while True:
            if await self._claim():
                return
            await asyncio.sleep(self._renew_seconds)

    async def lost(self) -> None:
        """Keep renewing; return once somebody else is the historian."""
        while True:
            await asyncio.sleep(self._renew_seconds)
            try:
                await self._put()
            except RevisionConflictError:
                entry = await self._state.get(self._key)
                self.holder = _read(entry.value) if entry else None
                if self.mine and entry is not None:
                    self._revision = entry.revision  # our own write, whose answer was lost
                    continue
                self._lock.release()
                return
            except OutcomeUnknownError as error:
                log.warning("the entry of the %s was not renewed: %s", self._office, error)

    async def leave(self) -> None:
        """Let another take over at once."""
        if self.mine:
            self._me = msgspec.structs.replace(self._me, left=True)
            try:
                await self._put()
            except (RevisionConflictError, OutcomeUnknownError) as error:
                log.warning("the entry of the %s expires by itself: %s", self._office, error)
        self.holder = None
        self._lock.release()

    async def _claim(self) -> bool:
        try:
            entry = await self._state.get(self._key)
            if entry is not None:
                self._note(entry.value, entry.revision)
            if not self._lock.acquire() or not self._may_take():
                return False
            await self._put()
        except (RevisionConflictError, OutcomeUnknownError):
            return False
        return True

    def _note(self, value: bytes, revision: int) -> None:
        self._unchanged = self._unchanged + 1 if revision == self._revision else 0
        self._revision = revision
        self.holder = _read(value)

    def _may_take(self) -> bool:
        holder = self.holder
        if holder is None or holder.left or self._unchanged >= PATIENCE:
            return True
        # The lock is ours, so whoever had this folder is gone.
        return (holder.host, holder.folder) == (self._me.host, self._me.folder)

    async def _put(self) -> None:
        self._me = msgspec.structs.replace(self._me, beat=self._me.beat + 1)
        self._revision = await self._state.swap(
            self._key, msgspec.json.encode(self._me), revision=self._revision
        )
        self.holder = self._me


def _read(value: bytes) -> Holder | None:
    try:
        return msgspec.json.decode(value, type=Holder)
    except msgspec.MsgspecError:
        return None
