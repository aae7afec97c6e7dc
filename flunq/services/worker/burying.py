"""Inputs that nobody can work on go to the dead letters, and the partition goes on."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.claims import reference_to
from flunq.core.letters import MAX_BODY, dead_letter
from flunq.log.ports import MessageTooLargeError
from flunq.services.wire import encode_claim, encode_dispatch
from flunq.services.worker.commit import Entry
from flunq.services.worker.patience import patiently

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.core.execution.effects import Dispatch
    from flunq.log.ports import Record
    from flunq.services.worker.context import WorkerContext
    from flunq.services.worker.owner import Owner

log = logging.getLogger(__name__)


def bury_input(owner: Owner, record: Record, body: bytes, reason: str) -> None:
    """Keep an input that cannot be read; it counts as consumed once its letter is stored."""
    letter = dead_letter(
        "input",
        f"inbox.{owner.partition}.{record.seq}.{int(record.time)}",
        body,
        reason=reason,
        now=owner.context.clock.now(),
        source=owner.source,
        partition=owner.partition,
        seq=record.seq,
    )
    letter["data"]["external"] = record.external
    owner.spawn(_store(owner.context, letter, lambda: owner.inbox.consumed(record.seq)))


def bury_event(owner: Owner, record: Record, reason: str) -> None:
    """Keep an event of the bus that cannot be read; every partition that hears it says the same."""
    letter = dead_letter(
        "event",
        f"bus.{record.seq}.{int(record.time)}",
        record.data,
        reason=reason,
        now=owner.context.clock.now(),
        source=f"/flunq/{owner.context.settings.tenant}/bus",
        seq=record.seq,
    )
    owner.spawn(_store(owner.context, letter, lambda: None))


def bury_task(owner: Owner, dispatch: Dispatch, reason: str, attempts: int) -> None:
    """Keep a task that is given up, in the same journal that says so."""
    entry = Entry(events=[])
    body = encode_dispatch(dispatch)
    if len(body) > MAX_BODY // 4:
        key, _ = reference_to(body)
        entry.blobs.append((key, body))
        body = encode_claim(key)
    letter = dead_letter(
        "task",
        dispatch.task,
        body,
        reason=reason,
        now=owner.context.clock.now(),
        source=owner.source,
        execution=dispatch.execution,
        task=dispatch.reference,
        taskId=dispatch.task,
        kind=dispatch.kind,
        attempts=attempts,
    )
    entry.outbox.append({"dead": [letter["id"], letter]})
    owner.committer.add(entry)


async def _store(
    context: WorkerContext, letter: dict[str, Any], stored: Callable[[], None]
) -> None:
    body = msgspec.json.encode(letter)
    publish = partial(context.stream.dead_letters.publish, body, message_id=letter["id"])
    try:
        await patiently(publish, "to store a dead letter")
    except MessageTooLargeError as error:
        log.error("a dead letter is dropped: %s", error)
    stored()
