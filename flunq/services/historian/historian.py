"""The historian of a tenant: one process at a time, whatever happens to the others."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from flunq.core.protocol import (
    CompactLake,
    FlushLake,
    LakeHistory,
    LakeQuestion,
    LakeStatus,
    LakeView,
    RebuildLake,
    ScrubLake,
    history_subject,
)
from flunq.errors import ConflictError, FlunqError
from flunq.log.ports import (
    NoResponderError,
    OutcomeUnknownError,
    RequestTimeoutError,
    StreamGoneError,
)
from flunq.services.answering import answered
from flunq.services.historian.ingest import Ingest, age, put_watermark
from flunq.services.historian.jobs import Jobs, Wanted
from flunq.services.historian.keeping import Keeper
from flunq.services.historian.rebuilding import Rebuilding
from flunq.services.historian.slots import shared_slots
from flunq.services.historian.status import shown, view_of
from flunq.services.historian.tenure import Tenure
from flunq.services.historian.workshop import Workshop
from flunq.services.historian.writer import Writer, WriterError
from flunq.services.lasting import heard
from flunq.store.lake import lake_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.log.ports import Database, EventStream, Journal
    from flunq.services.historian.settings import HistorianSettings
    from flunq.store.lake import LakeFile, Manifest

log = logging.getLogger(__name__)

_question = msgspec.json.Decoder(LakeQuestion).decode
FOLLOWING, BEHIND, BLOCKED = "following", "behind", "blocked"
FIRST_PAUSE = 0.05
LEAVE_SECONDS = 3.0
MOST_FAILURES = 200
"""So often in a row a problem may be seen before it is one that stays."""
MUCH_BEHIND = 30.0
"""More seconds than this are not a matter of pace."""
MOST_FILES = 100
MERGE_PAUSE = 600.0
"""Merging that failed is left alone for so long; the lake is as good as before."""
_PASSING = (WriterError, OutcomeUnknownError, NoResponderError, RequestTimeoutError, OSError)
_STUCK = (StreamGoneError, FlunqError)


class Historian:
    """Keeps the archive of one tenant, and answers questions about it."""

    def __init__(self, settings: HistorianSettings, stream: EventStream, store: Database) -> None:
        self.settings = settings
        self.folder = lake_folder(settings.data_dir, settings.tenant)
        self._stream = stream
        self._store = store
        self._tenure = Tenure(
            store.state,
            settings.tenant,
            self.folder,
            uuid4().hex,
            renew_seconds=settings.renew_seconds,
        )
        self._keeper = Keeper(self.folder, settings.tenant, keep_retired=settings.keep_retired)
        slots = shared_slots()
        self._writer = Writer(self.folder, settings.tenant, slots.writing)
        reader = Writer(self.folder, settings.tenant, slots.reading)
        self._workshop = Workshop(self._keeper, self._writer, reader)
        self._jobs = Jobs(self._work)
        self._ingest: Ingest | None = None
        self._following: asyncio.Task[None] | None = None
        self._gate = asyncio.Lock()
        self._pause = FIRST_PAUSE
        self._swept = False
        self.problem = ""
        """Why nothing is taken up at the moment."""

    @property
    def journal(self) -> Journal:
        """The truth that is archived."""
        return self._stream.journal

    @property
    def manifest(self) -> Manifest:
        """What the lake consists of now."""
        return self._keeper.manifest

    @property
    def read(self) -> int:
        """The last journal sequence that was read."""
        return self._ingest.read if self._ingest else self.manifest.through

    async def run(self, stop: asyncio.Event) -> None:
        """Be the historian whenever nobody else is, until told to stop."""
        serving = asyncio.create_task(self._take_turns())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
            await self._finish()
        finally:
            for task in (serving, stopping):
                task.cancel()
            await asyncio.gather(serving, stopping, return_exceptions=True)
            await self._tenure.leave()

    async def _finish(self) -> None:
        """Leave an archive that is complete, if that is quickly done: it may be read offline."""
        if self._ingest is None:
            return
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self.reach((await self.journal.extent()).last)
        except (TimeoutError, *_PASSING, *_STUCK):
            log.warning("the archive ends at %s for now", self._keeper.manifest.through)

    async def _take_turns(self) -> None:
        while True:
            await self._tenure.gained()
            log.info("the historian of %s archives in %s", self.settings.tenant, self.folder)
            try:
                await self._serve()
            finally:
                await self._workshop.stop()
            log.warning("another historian took %s over", self.settings.tenant)

    async def _serve(self) -> None:
        """Work until another is the historian."""
        tenant = self.settings.tenant
        self._swept = False
        with shown(tenant, self):
            async with (
                self._stream.requests.serve(history_subject(tenant), self.answer),
                asyncio.TaskGroup() as group,
            ):
                works = (self._follow(), self._keep_house(), self._jobs.run())
                loops = [group.create_task(work) for work in works]
                await self._tenure.lost()
                for task in loops:
                    task.cancel()

    # -- following the journal -------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            async with self._gate:
                error = await self._follow_once()
            if error is None:  # a job wants a pause, and waits at the gate
                await asyncio.sleep(0)
                continue
            if not isinstance(error, (*_PASSING, *_STUCK)):
                raise error
            self.problem = str(error) or type(error).__name__
            log.warning("the archive of %s does not grow: %s", self.settings.tenant, self.problem)
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, self.settings.pace.retry_seconds)

    async def _follow_once(self) -> BaseException | None:
        """Take up what the journal says; returns why that ended, None if somebody stopped it."""
        following = self._following = asyncio.create_task(self._take_up())
        try:
            await asyncio.wait([following])
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            self._ingest = None
        if following.cancelled():
            return None
        return _innermost(following.exception())

    async def _take_up(self) -> None:
        await self._keeper.open()
        await self._rebuilding().check()
        if not self._swept:
            # Not before: files that a lost or older manifest does not name may be all there is.
            await self._workshop.sweep()
            self._swept = True
        through = self._keeper.manifest.through
        await self._put_watermark(through)
        self._ingest = Ingest(
            self.journal,
            self._writer,
            self.settings.pace,
            after=through,
            publish=self._publish,
        )
        self.problem = ""
        await self._ingest.run()

    async def _publish(self, files: list[LakeFile], through: int) -> None:
        await self._keeper.extend(files, through=through)
        self._pause = FIRST_PAUSE
        await self._put_watermark(through)

    async def _put_watermark(self, through: int) -> None:
        try:
            if through:
                await put_watermark(self._store.state, self.settings.tenant, through)
        except OutcomeUnknownError as error:
            log.warning("the journal is trimmed later: %s", error)

    @asynccontextmanager
    async def _paused(self) -> AsyncIterator[None]:
        """Take nothing up within the block."""
        holder = asyncio.create_task(self._gate.acquire())
        try:
            while not holder.done():
                if self._following is not None:
                    self._following.cancel()
                await asyncio.wait([holder], timeout=0.05)
            yield
        finally:
            if holder.done() and not holder.cancelled():
                self._gate.release()
            holder.cancel()

    # -- the house -------------------------------------------------------------------------------

    async def _keep_house(self) -> None:
        loop = asyncio.get_running_loop()
        merge_after = 0.0
        while True:
            await asyncio.sleep(self.settings.pace.house_seconds)
            try:
                await self._keeper.clean()
                if loop.time() >= merge_after and self._has_time():
                    await self._workshop.compact()
            except (*_PASSING, *_STUCK) as error:
                merge_after = loop.time() + MERGE_PAUSE
                log.warning("files of the archive were not merged: %s", error)
            await self._workshop.rest(self.settings.pace.idle_seconds)

    def _has_time(self) -> bool:
        """Whether merging may hold up what is to be taken up; some more files are no harm."""
        busy = self._ingest is not None and self._ingest.busy
        return not self.problem and (not busy or len(self.manifest.files) > MOST_FILES)

    async def _work(self, wanted: Wanted) -> str:
        if isinstance(wanted, CompactLake):
            return f"{await self._workshop.compact(everything=True)} files fewer"
        if isinstance(wanted, RebuildLake):
            async with self._paused():
                return await self._rebuilding().run(wanted.mode)
        await self.reach(wanted.upto)
        return f"{await self._workshop.scrub(wanted)} files rewritten"

    async def reach(self, upto: int) -> None:
        """Return once everything up to a journal sequence is in files."""
        newest = (await self.journal.extent()).last
        if upto > newest:
            raise ConflictError(f"the journal ends at {newest}, before {upto}")
        failures = 0
        while self._keeper.manifest.through < upto:
            failures = failures + 1 if self.problem else 0
            if failures > MOST_FAILURES:
                raise ConflictError(self.problem, hint="see: flunq lake status")
            await self._flushed(upto)

    async def _flushed(self, upto: int) -> None:
        """Return when there may be new files."""
        ingest = self._ingest
        if ingest is None:
            await asyncio.sleep(0.05)
            return
        ingest.flush_soon(upto)
        # The journal may not be read so far, or the writer fails.
        await heard(ingest.flushed, within=0.5)

    def _rebuilding(self) -> Rebuilding:
        return Rebuilding(
            self.journal, self._keeper, self._workshop, self._writer, self.settings.pace
        )

    # -- answers ---------------------------------------------------------------------------------

    async def answer(self, payload: bytes) -> bytes | None:
        """Answer one encoded question; never raises for what somebody asked."""
        try:
            return await answered(payload, _question, self._value)
        except (OutcomeUnknownError, WriterError) as error:
            log.warning("a question to the historian stays without an answer: %s", error)
            return None

    async def _value(self, question: LakeQuestion) -> Any:
        if isinstance(question, LakeHistory):
            return await self._workshop.history(question)
        if isinstance(question, CompactLake | RebuildLake | ScrubLake):
            return self._jobs.add(question)
        if isinstance(question, FlushLake) and self._ingest is not None:
            self._ingest.flush_soon((await self.journal.extent()).last)
        assert isinstance(question, FlushLake | LakeStatus)
        return await self.view()

    async def view(self) -> LakeView:
        """Return how the archive is."""
        extent = await self.journal.extent()
        behind = age(self.oldest())
        late = behind > self.settings.pace.quiet_seconds + MUCH_BEHIND
        state = BLOCKED if self.problem else BEHIND if late else FOLLOWING
        return msgspec.structs.replace(
            view_of(self.folder, self._keeper.manifest, extent),
            state=state,
            behind_seconds=round(behind, 3),
            problem=self.problem,
            jobs=self._jobs.list(),
        )

    def oldest(self) -> float | None:
        """Return the time of the oldest record that was read and is in no file."""
        return self._ingest.oldest if self._ingest else None


def _innermost(error: BaseException | None) -> BaseException | None:
    """Return the first error of a group of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
