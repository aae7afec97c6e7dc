"""Commands that only tell: why, everything as JSON, copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq_tui.model.equivalents import equal_command
from flunq_tui.model.folding import pretty
from flunq_tui.model.reasons import why_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq_tui.actions import Item
    from flunq_tui.app import Monitor


class Answers:
    """The commands of the registry that change nothing."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._say = monitor.say

    async def why(self, items: Sequence[Item]) -> None:
        """Say what an execution waits for, since when, and what to do about it."""
        monitor = self._monitor
        details = await monitor.source.details(items[0].id)
        found = await monitor.source.why(items[0].id)
        heading = self._say("why.heading", id=details.id)
        await monitor.read(heading, lines=why_lines(details, found, monitor.now(), self._say))

    async def json(self, items: Sequence[Item]) -> None:
        """Show everything about what is selected as JSON."""
        await self._monitor.read(items[0].id, value=await self._value(items[0]))

    async def copy(self, items: Sequence[Item]) -> None:
        """Choose what to copy."""
        monitor = self._monitor
        texts = {
            "id": "\n".join(item.id for item in items),
            "command": "\n".join(
                equal_command(monitor.view_name, [item]) for item in items if item.id
            ),
            "value": monitor.text_to_copy(),
            "json": "json" if items[0].kind in _ASKED else "",
        }
        options = [(name, self._say(f"copy.{name}")) for name, text in texts.items() if text]
        chosen = await monitor.choose(self._say("do.copy"), options)
        if chosen == "json":
            values = [await self._value(item) for item in items]
            monitor.copy_text(pretty(values if values[1:] else values[0]))
        elif chosen is not None:
            monitor.copy_text(texts[chosen])

    async def _value(self, item: Item) -> Any:
        source = self._monitor.source
        if item.kind == "execution":
            return msgspec.to_builtins(await source.details(item.id))
        if item.kind == "letter":
            return msgspec.to_builtins(await source.letter(item.id))
        if item.kind == "workflow":
            return (await source.definition(item.id)).document
        if item.kind == "schedule":
            found = await source.schedules()
            named = {f"{each.namespace}/{each.name}": each for each in found}
            return msgspec.to_builtins(named.get(item.id))
        return self._monitor.selected_value()


_ASKED = frozenset({"execution", "letter", "workflow", "schedule"})
"""Kinds of things that the cluster is asked about."""
