"""Executions that cannot go on are set aside, so that their partition can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from flunq.core.events import QUARANTINED
from flunq.core.execution.commands import Start
from flunq.core.protocol import Reply
from flunq.services.worker.commit import Entry
from flunq.services.worker.executions import Live
from flunq.services.worker.fingerprint import fingerprint
from flunq.services.worker.records import (
    quarantine_facts,
    quarantined_record,
    report_of_quarantined,
)

if TYPE_CHECKING:
    from flunq.services.worker.jobs import Job
    from flunq.services.worker.owner import Owner


class SettingAside:
    """Sets executions of one owner aside."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def untried(self, job: Job, reason: str) -> None:
        """Set the execution of a command aside without applying it."""
        command = job.command
        executions = self._owner.executions
        live = executions.live.get(command.id)
        if live is not None:
            self.live(live, reason, job)
        elif isinstance(command, Start) and not executions.knows(command.id):
            value = fingerprint(command.input)
            self.live(Live(None, None, value, first=0, last=0), reason, job)
        else:
            self._owner.settle(job, Reply(code=500, id=command.id))

    def live(self, live: Live, reason: str, job: Job) -> None:
        """Record that an execution cannot go on, and keep what is known of it."""
        owner, command = self._owner, job.command
        ref = live.state.workflow if live.state else getattr(command, "workflow", None)
        if ref is None:
            ref = live.workflow_of().ref
        facts = quarantine_facts(ref, reason, command, owner.context.clock.now())
        live.seq += 1
        live.tainted = True
        owner.executions.live[command.id] = live
        event = owner.event(command.id, ref, live.seq, QUARANTINED, facts)
        finished = quarantined_record(live.state, event, live.fingerprint)
        entry = Entry(events=[], inbox=job.inbox, share=job.share)
        owner.writer.add_events([event], entry)
        entry.outbox.append({"dead": [event.id, msgspec.json.decode(entry.events[0])]})
        report = report_of_quarantined(live.state, command)
        if report is not None:
            entry.outbox.append(owner.writer.letter(report, entry))

        def settled(sequence: int) -> None:
            owner.executions.live.pop(command.id, None)
            owner.hearing.listeners.forget(command.id)
            owner.executions.finished[command.id] = (finished, live.first or sequence, sequence)
            owner.aftermath.tell(finished.result())
            if job.settle is not None:
                job.settle(Reply(code=200, id=command.id, status="quarantined"))

        entry.settled = settled
        owner.committer.add(entry)
