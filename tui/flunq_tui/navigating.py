"""Goes from view to view, and says what is shown and possible there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.widgets import ContentSwitcher

from flunq_tui.actions import COMMANDS, STAYS, Situation, why_not
from flunq_tui.shell import Shell
from flunq_tui.views import view_class
from flunq_tui.widgets.status_lines import Hint, Hints, OneLine

if TYPE_CHECKING:
    from flunq_tui.actions import Command
    from flunq_tui.options import Options
    from flunq_tui.source import Source
    from flunq_tui.views.base import View


class Navigating(Shell):
    """The views by name, and the way back."""

    def __init__(self, source: Source, options: Options | None = None) -> None:
        super().__init__(source, options)
        self._past: list[tuple[str, str]] = []
        self._future: list[tuple[str, str]] = []
        self._moving = asyncio.Lock()

    def show_view(self, name: str, *, filter_text: str | None = None) -> None:
        """Go to a view, perhaps with a filter."""
        self._past.append(self._place())
        self._future.clear()
        self.attempt(self._go(name, filter_text), group="go", exclusive=False)

    def _place(self) -> tuple[str, str]:
        execution = (
            self.view.items()[0].id if self.view_name == "execution" and self.view.items() else ""
        )
        return self.view_name, execution

    async def _go(self, name: str, filter_text: str | None = None) -> None:
        await self._show(name)
        if filter_text is not None:
            self.view.set_filter(filter_text)
            self.show_title(self.view)

    async def _show(self, name: str) -> None:
        async with self._moving:  # a view that is half mounted cannot be shown
            await self._show_now(name)

    async def _show_now(self, name: str) -> None:
        views = self.frame.query_one("#views", ContentSwitcher)
        if self.has_view(self.view_name) and self.view_name != name:
            self.view.leave()
        if not self.has_view(name):
            view = view_class(name)()
            view.id = name
            await views.mount(view)
        self.view_name = name
        views.current = name
        focus = self.view.first_focus()
        # A view begins as it was left; what has the focus in it need not be in sight.
        self.frame.set_focus(focus, scroll_visible=False)
        if self.source.link.state in ("live", "lost", "file"):
            await self.view.enter()
        self.show_title(self.view)
        self.show_hints()

    def open_execution(self, execution: str, *, at_events: bool = False) -> None:
        """Show one execution, perhaps its events in place of the tree."""
        self._past.append(self._place())
        self._future.clear()
        going = self._go_to_execution(execution, at_events=at_events)
        self.attempt(going, group="go", exclusive=False)

    async def _go_to_execution(self, execution: str, *, at_events: bool = False) -> None:
        from flunq_tui.views.execution import ExecutionView

        await self._show("execution")
        view = self.view
        assert isinstance(view, ExecutionView)
        if view.execution.id != execution:
            view.open(execution)
        if at_events and self.is_shown(view):
            view.show_events()

    def _travel(self, origin: list[tuple[str, str]], target: list[tuple[str, str]]) -> bool:
        if not origin:
            return False
        target.append(self._place())
        name, execution = origin.pop()
        if execution:
            self.attempt(self._go_to_execution(execution), group="go", exclusive=False)
        else:
            self.attempt(self._go(name), group="go", exclusive=False)
        return True

    def do_older_view(self) -> None:
        """Go back to the view before."""
        self._travel(self._past, self._future)

    def do_newer_view(self) -> None:
        """Go forth again."""
        self._travel(self._future, self._past)

    def show_title(self, view: View) -> None:
        """Draw the line above a view if it is the one that is shown."""
        if self.is_shown(view) and view.is_mounted:
            self.frame.query_one("#title", OneLine).show_parts(*view.title())

    # -- what is possible --------------------------------------------------------------------------

    def situation(self) -> Situation:
        """Return what matters for whether commands are possible."""
        state = self.source.link.state
        return Situation(
            view=self.view_name,
            items=self.view.items() if self.has_view(self.view_name) else (),
            offline=self.source.offline,
            connected=state in ("live", "file"),
        )

    def reason(self, command: Command, situation: Situation | None = None) -> str:
        """Return why a command is impossible now; empty: it is possible.

        Whoever asks about many commands gives the situation, which takes long with many marks.
        """
        found = why_not(command, situation or self.situation())
        if found is None:
            return ""
        message, values = found
        return self.say(message, **{name: self._in_words(text) for name, text in values.items()})

    def _in_words(self, statuses: str) -> str:
        """Return statuses in the language of the user."""
        return ", ".join(
            self.say(f"status.{each}") if self.say.has(f"status.{each}") else each
            for each in statuses.split(", ")
        )

    def show_hints(self) -> None:
        """Show the keys that matter now."""
        situation = self.situation()
        hinted = [each for each in COMMANDS if each.hint and each.is_in(self.view_name)]
        hints = [
            Hint(
                command=each.id,
                key=self.keymap.shown(each.id),
                title=self.say(f"do.{each.id}"),
                possible=not self.reason(each, situation),
                stays=each.hint >= STAYS,
            )
            for each in sorted(hinted, key=lambda each: each.hint)
        ]
        self.frame.query_one(Hints).show_hints(hints)
