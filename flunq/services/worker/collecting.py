"""How the owner of a partition collects the starts of workflows that want it.

A start is sent to the partition of its id. If its group is kept in another one, its sender is told
so, or the start is handed on, durably. The owner of the group makes an execution of the first
start, and lets the others join it until it begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from flunq.core.collecting import (
    GroupKeyError,
    execution_of,
    group_of,
    is_collected,
    route_of,
)
from flunq.core.execution.commands import Join
from flunq.core.ids import partition_of
from flunq.core.protocol import ELSEWHERE, Reply
from flunq.core.statuses import ENDED
from flunq.errors import RejectedError
from flunq.services.worker.commit import Entry
from flunq.services.worker.executions import STATUS_CODES
from flunq.services.worker.fingerprint import fingerprint
from flunq.services.worker.jobs import conflict, deleted

if TYPE_CHECKING:
    from flunq.core.document.model import Workflow
    from flunq.core.execution.commands import Start
    from flunq.services.worker.executions import Live
    from flunq.services.worker.jobs import Job
    from flunq.services.worker.owner import Owner


class Collector:
    """Collects the starts of one partition."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._executions = owner.executions

    def begins(self, start: Start, job: Job, workflow: Workflow) -> Start | None:
        """Return the start that makes an execution now; None if this one is dealt with."""
        rule = workflow.collecting
        if rule is None or not is_collected(start):
            return replace(start, group="") if start.group else start
        try:
            route = route_of(workflow.ref, rule.key_of(start.input))
        except GroupKeyError as error:
            problem = RejectedError(f"the key of this start's group is not known: {error}")
            reply = Reply(code=problem.status, id=start.id, problem=problem.problem())
            self._owner.settle(job, reply)
            return None
        number = partition_of(route, self._owner.context.settings.partitions)
        if number == self._owner.partition:
            return self._first(start, job, workflow, route)
        if job.follows and job.settle is not None:
            self._owner.context.quota.give_back()
            self._owner.settle(job, Reply(code=ELSEWHERE, id=start.id, partition=number))
        else:
            self._hand_on(job, start, number)
        return None

    def _first(self, start: Start, job: Job, workflow: Workflow, route: str) -> Start | None:
        groups = self._executions.groups
        mark = fingerprint(start.input)
        group = group_of(workflow.ref, route)
        execution = execution_of(route, start.id, self._owner.context.settings.partitions)
        known = groups.joined.get(start.id)
        if known is not None and known[1] != mark:
            self._owner.settle(job, conflict(start.id))
        elif known is not None:
            self._answer(job, known[0])
        elif self._executions.knows(execution):
            self._answer(job, execution)
        elif (collecting := groups.open.get(group)) is not None:
            job.command = Join(id=collecting, start=start, fingerprint=mark)
            self._owner.apply(job)
        else:
            return replace(start, id=execution, group=group, first=start.id, fingerprint=mark)
        return None

    def missed(self, job: Job) -> bool:
        """Start a group anew if what a start was to join has gone meanwhile; tell whether so."""
        join = job.command
        if not isinstance(join, Join):
            return False
        executions, execution = self._executions, join.id
        if execution in executions.live:
            return self.is_over(executions.live[execution], job, join)
        if executions.ended(execution) is None and execution in executions.places:
            return False
        return self._again(job, join)

    def is_over(self, live: Live, job: Job, join: Join) -> bool:
        """Start a group anew if an execution has stopped to collect; tell whether it has."""
        state = live.state
        if not live.tainted and state is not None and state.collecting is not None:
            return False
        return self._again(job, join)

    def _again(self, job: Job, join: Join) -> bool:
        self._executions.groups.close(join.id)
        job.command = join.start
        self._owner.apply(job)
        return True

    def _answer(self, job: Job, execution: str) -> None:
        """Name the execution that a repeated start is part of, once that is durable."""
        owner, executions = self._owner, self._executions
        live, ended = executions.live.get(execution), executions.ended(execution)
        place = executions.places.get(execution)
        if live is not None and live.state is not None:
            status = live.state.status
        elif ended is not None:
            status = ended.status
        elif place is not None:
            status = STATUS_CODES[place.status]
        else:
            owner.settle(job, deleted(execution))
            return
        if job.mailbox and ended is not None:
            owner.context.post.add(job.mailbox, ended.result())
        elif job.mailbox and status not in ENDED:
            owner.watchers.add(execution, job.mailbox)
        owner.answer_behind(job, Reply(code=200, id=execution, status=status))

    def _hand_on(self, job: Job, start: Start, number: int) -> None:
        """Bring a start to the partition of its group; from this commit on it is accepted."""
        entry, settle = Entry(events=[], inbox=job.inbox, share=job.share), job.settle
        entry.outbox.append(self._owner.writer.letter(replace(start, partition=number), entry))
        if settle is not None:
            entry.settled = lambda _: settle(Reply(code=202, id=start.id, status="pending"))
        self._owner.committer.add(entry)
