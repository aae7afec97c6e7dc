"""From a decision to an entry of a commit: events as JSON, effects sorted, large values aside.

Whatever a decision holds, its entry fits one message: values beyond the usual threshold go to the
blob store, and if many smaller ones still are too much together, they go there as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.claims import REFERENCE, reference_to
from flunq.core.events import CloudEvent, encode_event
from flunq.core.execution.effects import Bury, Dispatch, Effect, Publish, Tell, Withdraw
from flunq.services.worker.claims import check_in
from flunq.services.worker.recovery import QUEUED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flunq.core.execution.decide import Decision
    from flunq.core.execution.state import State
    from flunq.core.protocol import EngineCommand
    from flunq.services.worker.commit import Entry
    from flunq.services.worker.context import Dispatcher, WorkerSettings

MAX_ENTRY = 512 * 1024
"""An entry with more bytes than this is written again, with smaller values set aside."""
SMALL_VALUE = 8 * 1024
_REFERENCE = f'"{REFERENCE}"'.encode()
_to_json = msgspec.json.Encoder().encode


class EntryWriter:
    """Writes the entries of one partition."""

    def __init__(self, settings: WorkerSettings, dispatcher: Dispatcher) -> None:
        self._settings = settings
        self._dispatcher = dispatcher

    def write(self, state: State, decision: Decision, entry: Entry) -> Entry:
        """Add a decision to an entry; ``state`` is what it has led to."""
        threshold = self._settings.blob_threshold
        self._add(state, decision, entry, threshold)
        entry.size = entry.weight()
        if entry.size > MAX_ENTRY:
            entry.events, entry.effects, entry.outbox, entry.blobs = [], [], [], []
            self._add(state, decision, entry, min(threshold, SMALL_VALUE))
            entry.size = entry.weight()
        return entry

    def add_events(
        self, events: Sequence[CloudEvent], entry: Entry, threshold: int | None = None
    ) -> None:
        """Add events; what looks like a reference goes aside too, so that it stays what it is."""
        threshold = threshold or self._settings.blob_threshold
        for event in events:
            encoded = encode_event(event)
            # A byte is found ten times as fast as a text, and hardly ever there.
            if len(encoded) > threshold or (b"$" in encoded and _REFERENCE in encoded):
                slim, blobs = check_in(event, threshold)
                entry.blobs += blobs
                encoded = encode_event(slim)
            entry.events.append(encoded)

    def add_effects(
        self,
        state: State,
        effects: Iterable[Effect],
        entry: Entry,
        threshold: int | None = None,
    ) -> None:
        """Add effects: of this process, or what the commit must remember.

        Who runs the tasks that begin depends on what there is to do at this moment.
        """
        threshold = threshold or self._settings.blob_threshold
        for effect in effects:
            if isinstance(effect, Dispatch):
                self._assign(state, effect, entry)
            elif isinstance(effect, Withdraw):
                withdrawn = [effect.execution, effect.task, effect.kind, state.is_terminal]
                entry.outbox.append({"withdraw": withdrawn})
            elif isinstance(effect, Publish):
                event = _slim(effect.event, entry, threshold)
                entry.outbox.append({"publish": [effect.id, event]})
            elif isinstance(effect, Bury):
                letter = _slim(effect.letter, entry, threshold)
                entry.outbox.append({"dead": [effect.id, letter]})
            elif isinstance(effect, Tell):
                entry.outbox.append(self.letter(effect.command, entry, threshold))
            else:
                entry.effects.append(effect)

    def letter(
        self, command: EngineCommand, entry: Entry, threshold: int | None = None
    ) -> dict[str, Any]:
        """Return the outbox item that brings a command to another execution."""
        threshold = threshold or self._settings.blob_threshold
        return {"tell": _slim(msgspec.to_builtins(command), entry, threshold), "to": command.id}

    def _add(self, state: State, decision: Decision, entry: Entry, threshold: int) -> None:
        self.add_events(decision.events, entry, threshold)
        self.add_effects(state, decision.effects, entry, threshold)

    def _assign(self, state: State, effect: Dispatch, entry: Entry) -> None:
        opened = state.tasks.get(effect.task)
        if opened is None:
            return  # what the same call has interrupted again, as the loser of a race
        if self._dispatcher.takes(effect.kind):
            opened.node = self._settings.writer
            entry.effects.append(effect)
        else:
            opened.node = QUEUED
            entry.outbox.append({"queue": [effect.execution, effect.task]})


def _slim(value: dict[str, Any], entry: Entry, threshold: int) -> dict[str, Any]:
    """Return a value, or a reference to it if it is large."""
    body = _to_json(value)
    if len(body) <= threshold:
        return value
    key, reference = reference_to(body)
    entry.blobs.append((key, body))
    return reference
