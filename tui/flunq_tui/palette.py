"""The command palette, filled from the registry."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Provider

from flunq_tui.actions import COMMANDS, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.command import Hits

    from flunq_tui.actions import Command
    from flunq_tui.app import Monitor


class CommandProvider(Provider):
    """Offers what is possible now."""

    @property
    def _monitor(self) -> Monitor:
        return cast("Monitor", self.app)

    def _possible(self) -> Iterator[tuple[Command, str, str]]:
        monitor, situation = self._monitor, self._monitor.situation()
        for each in COMMANDS:
            if each.group != "move" and why_not(each, situation) is None:
                keys = monitor.keymap.shown(each.id)
                help_text = f"{monitor.say(f'help.{each.id}')}  {keys}"
                yield each, monitor.say(f"do.{each.id}"), help_text

    async def discover(self) -> Hits:
        """Offer everything before something is typed."""
        for each, title, help_text in self._possible():
            yield DiscoveryHit(title, partial(self._monitor.do, each), help=help_text)

    async def search(self, query: str) -> Hits:
        """Offer what matches."""
        matcher = self.matcher(query)
        for each, title, help_text in self._possible():
            score = matcher.match(f"{title} {each.id}")
            if score > 0:
                yield Hit(score, title, partial(self._monitor.do, each), help=help_text)
