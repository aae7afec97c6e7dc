"""What must hold after every run, whatever went wrong in it.

Everything is checked against the archive of the journal: what was ever stored, in order, whether
it was trimmed since or not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core import events as types
from flunq.core.claims import is_reference, reference_key
from flunq.core.events import CloudEvent
from flunq.core.execution import fold as folding
from flunq.core.execution.commands import Start
from flunq.core.execution.fold import fold, micros
from flunq.core.execution.state import State
from flunq.core.ids import step_key
from flunq.services.wire import decode_commands
from flunq.services.worker.recovery import Head, read_head
from flunq.testing.documents import RUNG, TOLD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.log.ports import Record
    from flunq.testing.cluster import Cluster
    from flunq.testing.faults import Wire
    from flunq.testing.ledger import Effect
    from flunq.testing.workload import Plan

_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_event = msgspec.json.Decoder(CloudEvent).decode
GHOST = "'"
"""Marks what happened under an id before a deletion."""
_FENCE = f'"type":"{types.FENCE}"'.encode()
_TERMINAL = types.TERMINAL_TYPES


class Stored(msgspec.Struct, frozen=True):
    """An event and the place of its commit in the archive."""

    event: CloudEvent
    place: int
    """How many records there were when its commit was stored, itself included."""
    at: int = 0
    """When it was stored (microseconds since the epoch)."""


class Story(msgspec.Struct):
    """All that the journal says of one execution."""

    id: str
    events: list[Stored] = []
    deleted: bool = False
    state: State | None = None

    @property
    def last(self) -> CloudEvent | None:
        """Return its last event."""
        return self.events[-1].event if self.events else None


class Archive:
    """The journal from its very beginning, read independently of the engine's recovery."""

    def __init__(self, records: list[Record], blobs: dict[str, bytes]) -> None:
        self.stories: dict[str, Story] = {}
        self.heads: dict[int, list[tuple[Record, Head]]] = defaultdict(list)
        self.problems: list[str] = []
        self._blobs = blobs
        for place, record in enumerate(records, 1):
            self._read(record, place)
        for story in self.stories.values():
            self._fold(story)

    def _read(self, record: Record, place: int) -> None:
        self.heads[record.partition].append((record, read_head(record.data)))
        for raw in _split(record.data)[1:]:
            event = _event(raw)
            story = self.stories.setdefault(event.subject, Story(event.subject))
            if event.type in types.GONE:
                self._bury(story)
                continue
            if b"$flunq.blob" in bytes(raw):
                self._check_out(event)
            story.events.append(Stored(event, place, round(record.time * 1_000_000)))

    def _bury(self, story: Story) -> None:
        """Put a deleted execution aside: a late copy of its start may begin the id anew."""
        ghost = story.id
        while ghost in self.stories:
            ghost += GHOST
        self.stories[ghost] = msgspec.structs.replace(story, id=ghost, deleted=True)
        del self.stories[story.id]

    def _check_out(self, event: CloudEvent) -> None:
        for member, value in event.data.items():
            if is_reference(value):
                body = self._blobs.get(reference_key(value))
                if body is None:
                    self.problems.append(f"{event.id}: the blob of {member} is missing")
                else:
                    event.data[member] = msgspec.json.decode(body)

    def story(self, execution: str) -> Story | None:
        """Return the story of an execution: its first life, if there were several."""
        return self.stories.get(execution + GHOST) or self.stories.get(execution)

    def _fold(self, story: Story) -> None:
        numbers = [stored.event.seq for stored in story.events]
        if numbers != list(range(1, len(numbers) + 1)):
            self.problems.append(f"{story.id}: the history has gaps or repeats: {numbers}")
            return
        ends = [s.event.seq for s in story.events if s.event.type in _TERMINAL]
        if len(ends) > 1 or (ends and ends[0] != numbers[-1]):
            self.problems.append(f"{story.id}: terminal events {ends} of {numbers[-1]}")
            return
        for stored in story.events:
            if stored.event.type == types.QUARANTINED:
                reason = stored.event.data["reason"]
                self.problems.append(f"{story.id} was quarantined: {reason}")
                return
            story.state = fold(story.state, stored.event)


def check(cluster: Cluster, plans: list[Plan]) -> Iterator[str]:
    """Yield everything that must not be."""
    wire = cluster.wire
    archive = Archive(wire.journal.archive, wire.blobs)
    yield from cluster.problems
    yield from archive.problems
    yield from _epochs(archive)
    if archive.problems:
        return
    for plan in plans:
        yield from _plan(plan, archive.story(plan.id))
    known = {plan.id for plan in plans}
    yield from (
        f"{one}: nobody started it" for one in archive.stories if one.rstrip(GHOST) not in known
    )
    yield from _effects(cluster.ledger.effects, archive)
    yield from _steps(cluster.ledger.effects, archive, plans)
    for story in archive.stories.values():
        yield from early_timers(story)
        yield from _suspensions(story)
    yield from _inboxes(cluster, archive)
    yield from _inputs(cluster, archive)
    bus = Bus(wire)
    yield from bus.problems
    yield from _emitted(bus, archive)
    for story in archive.stories.values():
        yield from _heard(bus, story)


def _epochs(archive: Archive) -> Iterator[str]:
    for partition, heads in archive.heads.items():
        epoch = number = 0
        node = ""
        for record, head in heads:
            where = f"partition {partition}, commit {head.number}"
            if head.number != number + 1:
                yield f"{where} follows commit {number}"
            if head.epoch < epoch:
                yield f"{where}: epoch {head.epoch} after {epoch}"
            if head.epoch == epoch and head.node != node:
                yield f"{where}: epoch {epoch} has two writers, {node} and {head.node}"
            if head.epoch > epoch and _FENCE not in record.data[:400]:
                yield f"{where}: epoch {head.epoch} begins without a fence"
            epoch, number, node = head.epoch, head.number, head.node


# --- executions ---------------------------------------------------------------------------------


def _plan(plan: Plan, story: Story | None) -> Iterator[str]:
    if story is None or story.state is None:
        if plan.started:
            yield f"{plan.id}: its start was acknowledged, but the journal does not know it"
        return
    state = story.state
    if plan.created > 1:
        yield f"{plan.id}: {plan.created} starts said that they made it"
    if plan.delete and not story.deleted:
        yield f"{plan.id}: its deletion was acknowledged, but the journal does not know it"
    if not state.is_terminal:
        yield f"{plan.id}: it has not ended: {state.status}"
        return
    yield from _outcome(plan, state)
    yield from _answers(plan, state)


def _outcome(plan: Plan, state: State) -> Iterator[str]:
    if state.status == "cancelled":
        if not plan.cancel_sent:
            yield f"{plan.id}: nobody cancelled it"
        return
    if plan.cancel_status == "cancelled":
        yield f"{plan.id}: it was told to be cancelled, and is {state.status}"
    output = state.output["n"] if state.status == "completed" else None
    if output not in plan.expected.outputs:
        wanted = sorted(map(str, plan.expected.outputs))
        why = f" ({state.failure.detail})" if state.failure else ""
        yield f"{plan.id}: it ended {state.status} with {output}{why}, not with one of {wanted}"


def _answers(plan: Plan, state: State) -> Iterator[str]:
    for result in plan.results:
        if (result.status, result.output, result.failure) != (
            state.status,
            state.output,
            state.failure,
        ):
            yield f"{plan.id}: its client was told {result}, the journal says {state.status}"
    details = plan.details
    if details is not None:
        told = (details.status, details.seq, details.output, details.input, details.started_at)
        real = (state.status, state.seq, state.output, state.input, state.started_at)
        if told != real:
            yield f"{plan.id}: its owner told {told}, the journal says {real}"


# --- effects ------------------------------------------------------------------------------------


def _dispatches(archive: Archive) -> dict[str, tuple[Stored, dict[str, Any]]]:
    found: dict[str, tuple[Stored, dict[str, Any]]] = {}
    for story in archive.stories.values():
        for stored in story.events:
            data = stored.event.data
            if stored.event.type == types.TASK_STARTED and "dispatch" in data:
                found[data["dispatch"]["id"]] = (stored, data["dispatch"])
    return found


def _effects(effects: list[Effect], archive: Archive) -> Iterator[str]:
    """No effect before its commit, and under the key that the journal names."""
    dispatches = _dispatches(archive)
    lives = Counter(one.rstrip(GHOST) for one in archive.stories)
    for effect in effects:
        if lives[effect.execution] > 1:
            continue  # its task ids name tasks of two lives
        if effect.task not in dispatches:
            yield f"{effect.task} was run by {effect.process}, but the journal does not know it"
            continue
        stored, dispatch = dispatches[effect.task]
        if stored.place > effect.records:
            yield f"{effect.task} was run by {effect.process} before its commit was stored"
        if effect.key != dispatch["key"]:
            yield f"{effect.task} was run as {effect.key}, the journal says {dispatch['key']}"


def _steps(effects: list[Effect], archive: Archive, plans: list[Plan]) -> Iterator[str]:
    """Every finished step had its effect, and each step has one key."""
    run = {effect.task for effect in effects}
    keys: dict[str, set[str]] = defaultdict(set)
    steps: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for story in archive.stories.values():
        started: dict[int, dict[str, Any]] = {}
        for stored in story.events:
            data = stored.event.data
            if stored.event.type == types.TASK_STARTED and "dispatch" in data:
                dispatch = started[data["step"]] = data["dispatch"]
                keys[story.id.rstrip(GHOST)].add(dispatch["key"])
                step = (story.id, data["task"], data.get("path", ""))
                steps[step].add(dispatch["key"])
            elif stored.event.type == types.TASK_COMPLETED and data["step"] in started:
                task = started[data["step"]]["id"]
                if task not in run:
                    yield f"{task} is completed, but was never run"
    yield from (f"the step {s} has the keys {k}" for s, k in steps.items() if len(k) > 1)
    for plan in plans:
        found = archive.story(plan.id)
        calls = plan.expected.calls
        if found is None or found.state is None or found.state.status != "completed":
            continue
        if calls is not None and len(keys[plan.id]) != calls:
            yield f"{plan.id}: {len(keys[plan.id])} steps had an effect, not {calls}"


# --- time ---------------------------------------------------------------------------------------

_DUE = {"w": "due", "r": "due", "t": "timeout", "a": "attemptDue"}


def early_timers(story: Story, *, one_clock: bool = True) -> Iterator[str]:
    """No timer fires before it is due, neither by its event nor by when that was stored.

    The broker tells the latter: it means nothing unless its clock is that of the engine.
    """
    due: dict[tuple[int, str], int] = {}
    for stored in story.events:
        event = stored.event
        data = event.data
        if event.type == folding.TIMER_FIRED:
            letter = data["timer"].lstrip("0123456789")[0]
            moment = due.get((data["step"], letter), 0)
            stored_at = stored.at if one_clock and stored.at else moment
            if min(micros(event.time), stored_at) < moment:
                yield f"{story.id}: timer {data['timer']} fired early, at {event.time}"
        elif "step" in data or event.type == types.WORKFLOW_STARTED:
            for letter, member in _DUE.items():
                if isinstance(data.get(member), int):
                    due[data.get("step", 0), letter] = data[member]


def _suspensions(story: Story) -> Iterator[str]:
    """Nothing new is dispatched while an execution is suspended."""
    suspended = False
    for stored in story.events:
        event = stored.event
        if event.type == types.WORKFLOW_SUSPENDED:
            suspended = True
        elif event.type == types.WORKFLOW_RESUMED:
            suspended = False
        elif suspended and event.type == types.TASK_STARTED:
            yield f"{story.id}: {event.data['task']} began during a suspension"


def unread(cluster: Cluster) -> dict[int, list[int]]:
    """Return the inputs of each partition that no commit names as consumed."""
    inbox = cluster.wire.inbox
    newest = {record.partition: read_head(record.data) for record in cluster.wire.journal.archive}
    found: dict[int, list[int]] = {}
    for partition, head in newest.items():
        facts = head.inbox or {"created": "", "floor": 0, "above": []}
        if facts["created"] in ("", inbox.created):
            records = inbox.read(str(partition), facts["floor"], 1000)
            found[partition] = [
                record.seq
                for record in records
                if record.seq not in facts["above"] and record.time < cluster.stopping_at
            ]
    return found


def _inboxes(cluster: Cluster, archive: Archive) -> Iterator[str]:
    """Every input was consumed, and every outbox item released."""
    for partition, left in unread(cluster).items():
        if left:
            yield f"partition {partition}: inputs {left} were not consumed"
    for partition, heads in archive.heads.items():
        head = heads[-1][1]
        promised = [record.seq for record, one in heads if one.outbox]
        if promised and head.releasedThrough < promised[-1]:
            through = head.releasedThrough
            yield f"partition {partition}: released through {through}, not {promised[-1]}"


def _inputs(cluster: Cluster, archive: Archive) -> Iterator[str]:
    """No commit names a start as consumed before the journal holds what follows from it."""
    inbox = cluster.wire.inbox
    consumed: dict[int, int] = {}
    for place, record in enumerate(cluster.wire.journal.archive, 1):
        facts = read_head(record.data).inbox
        if facts and facts["created"] == inbox.created:
            for one in inbox.archive:
                named = one.seq <= facts["floor"] or one.seq in facts["above"]
                if named and one.partition == record.partition:
                    consumed.setdefault(one.seq, place)
    for one in inbox.archive:
        for command in decode_commands(one.data):
            story = archive.stories.get(command.id)
            named_at = consumed.get(one.seq)
            reborn = command.id + GHOST in archive.stories
            if type(command) is not Start or named_at is None or reborn:
                continue
            if story is None or not story.events or story.events[0].place > named_at:
                yield f"input {one.seq}, the start of {command.id}, was lost"


# --- events -------------------------------------------------------------------------------------


class Bus:
    """All events that were ever published, each id once."""

    def __init__(self, wire: Wire) -> None:
        self.problems: list[str] = []
        self.emitted: dict[str, dict[str, Any]] = {}
        self.rung: dict[str, list[tuple[str, int]]] = defaultdict(list)
        """Execution -> what was sent to it: the key, and when it was stored (microseconds)."""
        for record in wire.events.archive:
            event = msgspec.json.decode(record.data)
            if event["type"] == TOLD:
                self._note_emitted(event)
            elif event["type"] == RUNG:
                self._note_rung(event, round(record.time * 1_000_000))

    def _note_emitted(self, event: dict[str, Any]) -> None:
        known = self.emitted.setdefault(event["id"], event)
        if known != event:
            self.problems.append(f"event {event['id']} was published as {known} and as {event}")

    def _note_rung(self, event: dict[str, Any], at: int) -> None:
        key = f"{event['source']} {event['id']}"
        sent = self.rung[event["subject"]]
        if key not in (known for known, _ in sent):
            sent.append((key, at))


def _emitted(bus: Bus, archive: Archive) -> Iterator[str]:
    """Every event that was emitted is on the bus, and none that was not."""
    told: set[str] = set()
    for story in archive.stories.values():
        begun: dict[int, str] = {}
        for stored in story.events:
            data = stored.event.data
            if stored.event.type == types.TASK_STARTED and data["kind"] == "emit":
                begun[data["step"]] = step_key(
                    story.id.rstrip(GHOST), data["task"], data.get("path", "")
                )
            elif stored.event.type == types.TASK_COMPLETED and data["step"] in begun:
                told.add(begun[data["step"]])
    yield from (f"event {one} was never published" for one in sorted(told - bus.emitted.keys()))
    yield from (f"nobody emitted event {one}" for one in sorted(bus.emitted.keys() - told))


def _heard(bus: Bus, story: Story) -> Iterator[str]:
    """A listener consumes what is sent once it is registered: in order, and all of it."""
    sent = bus.rung[story.id.rstrip(GHOST)]
    registered: dict[int, int] = {}
    consumed: dict[int, list[str]] = defaultdict(list)
    for stored in story.events:
        data = stored.event.data
        if stored.event.type == folding.REGISTERED:
            registered[data["step"]] = stored.at
        elif stored.event.type == folding.CONSUMED:
            consumed[data["step"]].append(data["key"])
    keys = [key for key, _ in sent]
    for step, heard in consumed.items():
        latest = sum(at <= registered[step] for _, at in sent)
        begin = keys.index(heard[0]) if heard[0] in keys else None
        if begin is None or begin > latest or heard != keys[begin : begin + len(heard)]:
            yield (
                f"{story.id}: listener {step} heard {heard}; sent were {keys},"
                f" of which {latest} before it was registered"
            )
