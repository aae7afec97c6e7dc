"""The end of what was deleted: trimmed from the journal, overwritten, gone from the disk."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from flunq.core.protocol import Erased
from flunq.log.ports import NoResponderError, OutcomeUnknownError, RequestTimeoutError
from flunq.services.worker.trimming import Trimmer

if TYPE_CHECKING:
    from flunq.core.protocol import Erase
    from flunq.services.worker.context import WorkerContext

log = logging.getLogger(__name__)

PATIENCE = 60.0
PAUSE = 0.5
REMEMBERED = 20
RUNNING, DONE, FAILED = "running", "done", "failed"
_PASSING = (OutcomeUnknownError, NoResponderError, RequestTimeoutError)


class Scrubber:
    """Erases on one node of the tenant, one request after another."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._told: dict[Erase, Erased] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def look(self, question: Erase) -> Erased:
        """Begin, or say how far it is; what ended is told once and begins anew after that."""
        told = self._told.get(question)
        if told is None:
            told = self._told[question] = Erased(state=RUNNING)
            task = asyncio.get_running_loop().create_task(self._run(question))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif told.state != RUNNING:
            del self._told[question]
        return told

    async def _run(self, question: Erase) -> None:
        async with self._turn:
            try:
                left = await self._erase(question)
            except Exception as error:  # the one who asked must hear of it
                log.warning("erasing failed", exc_info=error)
                self._told[question] = Erased(state=FAILED, detail=str(error) or repr(error))
            else:
                self._told[question] = Erased(state=DONE, detail=", ".join(left))
        for old in list(self._told)[:-REMEMBERED]:
            if self._told[old].state != RUNNING:
                del self._told[old]

    async def _erase(self, question: Erase) -> list[str]:
        self._say(question, "trimming the journal")
        await self._trim(question.upto)
        database = self._context.database
        self._say(question, "overwriting large values")
        for key in question.blobs:
            await database.blobs.erase(key)
        self._say(question, "rewriting the files of stored states")
        await database.state.scour()
        return await self._context.stream.scour()

    def _say(self, question: Erase, what: str) -> None:
        self._told[question] = Erased(state=RUNNING, detail=what)

    async def _trim(self, upto: int) -> None:
        """Trim until nothing up to a sequence is left; what holds it back may be on its way."""
        trimmer = Trimmer(self._context)
        journal = self._context.stream.journal
        limit = 0
        try:
            async with asyncio.timeout(PATIENCE):
                while await journal.first_seq() <= upto:
                    try:
                        limit = await trimmer.trim()
                    except _PASSING as error:
                        log.info("trimming for an erasure: %s", error)
                    if await journal.first_seq() <= upto:
                        await asyncio.sleep(PAUSE)
        except TimeoutError:
            raise TimeoutError(
                f"the journal is needed from {limit + 1} on and cannot be trimmed up to {upto}"
            ) from None
