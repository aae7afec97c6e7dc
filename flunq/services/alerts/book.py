"""The rules of a tenant and what is known of each, as they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from flunq.core.alerts import AlertRule, AlertState
from flunq.core.ids import token
from flunq.log.ports import RevisionConflictError

if TYPE_CHECKING:
    from flunq.log.ports import Database

_encode = msgspec.json.Encoder().encode
_rule = msgspec.json.Decoder(AlertRule).decode
_state = msgspec.json.Decoder(AlertState).decode


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """How far events were looked at; ``created`` tells journals apart."""

    journal: int = 0
    bus: int = 0
    created: str = ""


class AlertBook:
    """The records of one tenant."""

    def __init__(self, tenant: str, database: Database) -> None:
        head = token(tenant)
        self._rules = f"{head}.alerts."
        self._states = f"{head}.alert-states."
        self._places = f"{head}.alert-places"
        self._definitions = database.definitions
        self._state = database.state
        self._found: dict[str, AlertRule] = {}
        self._stamp = ""

    async def rules(self) -> dict[str, AlertRule]:
        """Return all rules by name; they are read again when something of the bucket changed."""
        stamp = await self._definitions.stamp()
        if stamp != self._stamp:
            self._found = await self._read_rules()
            self._stamp = stamp
        return self._found

    async def _read_rules(self) -> dict[str, AlertRule]:
        keys = sorted(await self._definitions.keys(self._rules))
        entries = [await self._definitions.get(key) for key in keys]
        rules = [_rule(entry.value) for entry in entries if entry is not None]
        return {rule.name: rule for rule in rules}

    async def rule(self, name: str) -> AlertRule | None:
        """Return one rule."""
        entry = await self._definitions.get(self._rules + token(name))
        return None if entry is None else _rule(entry.value)

    async def put_rule(self, rule: AlertRule) -> None:
        """Keep a rule; one of the same name is replaced."""
        await self._definitions.put(self._rules + token(rule.name), _encode(rule))

    async def delete(self, name: str) -> None:
        """Forget a rule, then what is known of it."""
        await self._definitions.delete(self._rules + token(name))
        await self._state.delete(self._states + token(name))

    async def state(self, name: str) -> tuple[AlertState, int]:
        """Return what is known of a rule, and the revision."""
        entry = await self._state.get(self._states + token(name))
        return (AlertState(), 0) if entry is None else (_state(entry.value), entry.revision)

    async def put_state(self, name: str, state: AlertState, revision: int) -> int:
        """Keep what is known of a rule; raises RevisionConflictError."""
        key = self._states + token(name)
        try:
            return await self._state.swap(key, _encode(state), revision=revision)
        except RevisionConflictError:
            entry = await self._state.get(key)
            if entry is not None and entry.value == _encode(state):
                return entry.revision  # our own write, whose answer was lost
            raise

    async def places(self) -> Places | None:
        """Return how far events were looked at."""
        entry = await self._state.get(self._places)
        return None if entry is None else msgspec.json.decode(entry.value, type=Places)

    async def put_places(self, places: Places) -> None:
        """Note how far events were looked at."""
        await self._state.put(self._places, _encode(places))
