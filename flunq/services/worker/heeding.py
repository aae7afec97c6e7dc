"""How the owner of a partition heeds the pauses of workflows.

No command of an execution is decided before it is looked whether its workflow is paused, so a pause
needs no race with what is under way. What a pause has suspended says so in its history, and whoever
owns it lets it go on once that pause is gone: nothing depends on who was there when it ended.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from flunq.core import events as types
from flunq.core.execution.commands import (
    Restore,
    Resume,
    Start,
    Suspend,
)
from flunq.core.execution.state import Begin, decode_state
from flunq.core.protocol import Reply
from flunq.errors import ConflictError
from flunq.services.worker.executions import STATUS_CODES
from flunq.services.worker.jobs import STEPS, Job
from flunq.services.worker.packs import StaleCheckpointError
from flunq.services.worker.patience import patiently

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flunq.core.events import CloudEvent
    from flunq.core.execution.commands import Command, WorkflowRef
    from flunq.core.execution.state import State
    from flunq.core.flow import WorkflowPause
    from flunq.services.worker.executions import Live
    from flunq.services.worker.owner import Owner
    from flunq.services.worker.packs import Packs

SLICE = 32
"""Executions that are looked at before other work of the process gets its turn."""
_FAILURES = (types.TASK_RETRIED, types.WORKFLOW_FAULTED)
_SUSPENDED = STATUS_CODES.index("suspended")


class Heeding:
    """Lets the executions of one owner heed the pauses of their workflows."""

    def __init__(self, owner: Owner, packs: Packs) -> None:
        self._owner = owner
        self._packs = packs
        self._pauses = owner.context.pauses
        self._known = self._pauses.found
        self._over: list[WorkflowPause] = []
        """Pauses that are over while what they held back is still to go on, before other starts."""
        self._all_told = False
        self._turn = asyncio.Lock()
        self._pauses.listeners.append(self._changed)

    def close(self) -> None:
        """Hear of no more changes."""
        self._pauses.listeners.remove(self._changed)

    @property
    def is_needed(self) -> bool:
        """Whether there are pauses that a command of an execution may have to heed."""
        return bool(self._known or self._over)

    # -- before each decision ----------------------------------------------------------------------

    def refuses(self, live: Live, job: Job) -> bool:
        """Let a command heed the pause of its workflow; True if it was refused because of it."""
        if live.tainted or not (self._known or self._over or type(job.command) is Start):
            return False
        command = job.command
        pause = self._pauses.of(live.workflow_of().ref)
        if isinstance(command, Start):
            job.command = self._start(command, live.workflow_of().ref, pause)
        elif isinstance(command, Resume) and pause is not None and not command.pause:
            job.command = msgspec.structs.replace(command, despite=pause.id)
        elif isinstance(command, Restore) and pause is not None and not pause.starts_only:
            return self._refuses_return(live, job, pause)
        elif type(command) in STEPS and live.state is not None:
            due = self._due(live.state)
            if isinstance(due, Suspend):
                self._owner.decide(live, Job(due))
        return False

    def _start(self, start: Start, ref: WorkflowRef, pause: WorkflowPause | None) -> Start:
        if pause is None:
            pause = next((each for each in self._over if each.concerns(ref)), None)
        if pause is not None:
            return msgspec.structs.replace(start, pause=pause.id, reason=pause.text)
        return msgspec.structs.replace(start, pause="", reason="") if start.pause else start

    def _refuses_return(self, live: Live, job: Job, pause: WorkflowPause) -> bool:
        """Refuse what would go on at once; one that is suspended may be rewound, and stays so."""
        state, execution = live.state, job.command.id
        if state is not None and state.suspended:
            return False
        if state is None:
            self._owner.executions.live.pop(execution, None)
        problem = ConflictError(
            pause.text, hint=f"let it go on first: flunq workflows resume {pause}"
        )
        self._owner.answer_behind(job, Reply(code=409, id=execution, problem=problem.problem()))
        return True

    def _due(self, state: State) -> Suspend | Resume | None:
        """Return what an execution has still to hear about pauses."""
        if state.is_terminal or (state.suspended and not state.pause):
            return None
        pause = self._pauses.of(state.workflow)
        if pause is not None and pause.starts_only and not _waits_to_begin(state):
            pause = None
        if state.pause and self._pauses.holds(state.pause):
            return None
        if pause is not None and pause.id != state.despite:
            return Suspend(id=state.id, reason=pause.text, pause=pause.id)
        return Resume(id=state.id, pause=state.pause) if state.pause else None

    def failures(self, live: Live, events: Sequence[CloudEvent]) -> int:
        """Return how many failures events tell of, where so many of them pause the workflow."""
        rule = live.workflow_of().pause
        if rule is None or rule.scope != "workflow":
            return 0
        return sum(event.type in _FAILURES for event in events)

    def count(self, live: Live, failures: int) -> None:
        """Count failures that are durable."""
        self._owner.context.tally.failed(live.workflow_of(), failures, self._owner.spawn)

    # -- when pauses change ------------------------------------------------------------------------

    def _changed(self) -> None:
        self._over += [pause for pause in self._known if not self._pauses.holds(pause.id)]
        self._known = self._pauses.found
        self._all_told = False
        self._owner.spawn(self.act())

    def keep_up(self) -> None:
        """Try again to tell them all, if that went wrong."""
        if not (self._all_told or self._turn.locked()):
            self._owner.spawn(self.act())

    async def act(self) -> None:
        """Let all executions hear what they have still to hear, the oldest first."""
        try:
            async with self._turn:
                over, self._all_told = list(self._over), True
                seen: set[str] = set()
                while found := sorted(self._concerned(seen)):
                    await self._tell(found)
                    seen.update(execution for _, execution in found)
                self._over = [pause for pause in self._over if pause not in over]
        except StaleCheckpointError:
            self._owner.doubt()
        except BaseException:
            self._all_told = False
            raise

    def _concerned(self, seen: set[str]) -> Iterator[tuple[int, str]]:
        """Yield those that pauses may have something to say to: when each began, and its id."""
        executions = self._owner.executions
        for live in executions.live.values():
            state = live.state
            if state is not None and state.id not in seen and self._due(state) is not None:
                yield state.started_at, state.id
        for place in executions.places.newest((1 << 62, ""), statuses={_SUSPENDED}):
            if place[1] not in seen and executions.place_if_asleep(place[1]) is not None:
                yield place

    async def _tell(self, found: list[tuple[int, str]]) -> None:
        owner = self._owner
        for turn, (_, execution) in enumerate(found, 1):
            due = await self._due_of(execution)
            if due is not None:
                owner.submit(Job(due))
            if turn % SLICE == 0:
                await asyncio.sleep(0)
                if owner.committer.buffered_bytes > owner.context.settings.max_buffered:
                    await owner.committer.flushed()

    async def _due_of(self, execution: str) -> Command | None:
        executions = self._owner.executions
        place = executions.place_if_asleep(execution)
        if place is None:
            live = executions.live.get(execution)
            state = None if live is None or live.tainted else live.state
        else:
            number = place.pack
            item = (await patiently(lambda: self._packs.load(number))).get(execution)
            state = None if item is None or item.ended else decode_state(item.body)
        return None if state is None else self._due(state)


def _waits_to_begin(state: State) -> bool:
    if state.collecting is not None:
        return True
    return bool(state.pause) and len(state.ready) == 1 and type(state.ready[0]) is Begin
