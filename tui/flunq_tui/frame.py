"""What stands around the views: head line, title, the prompt and the hints."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.screen import Screen
from textual.widgets import ContentSwitcher

from flunq_tui.model.formats import duration
from flunq_tui.widgets.status_lines import Hints, OneLine, Prompt

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from flunq_tui.app import Monitor
    from flunq_tui.source import Link


class Frame(Screen[None]):
    """Head line, title, the views, the prompt and the hints."""

    @property
    def monitor(self) -> Monitor:
        """The app."""
        return cast("Monitor", self.app)

    def compose(self) -> ComposeResult:
        """Draw the frame."""
        yield OneLine(id="top")
        yield OneLine(id="title")
        yield ContentSwitcher(id="views")
        yield Prompt()
        yield Hints()

    async def on_mount(self) -> None:
        """Show the first view."""
        await self.monitor.begin()

    def on_resize(self) -> None:
        """The hints depend on the width."""
        if self.query(f"#{self.monitor.view_name}"):
            self.monitor.show_hints()

    def show_top(self, link: Link) -> None:
        """Draw the head line."""
        if not self.query("#top"):
            return  # the screen is being taken down
        app = self.monitor
        say = app.say
        looks = {"live": "$success", "lost": "$error", "connecting": "$warning", "file": "$accent"}
        state = say(f"link.{link.state}")
        if link.state == "lost":
            silent = duration(app.now() - link.heard) if link.heard else ""
            state = say("link.silent", since=silent) if silent else state
        name = link.name or link.address
        self.query_one("#top", OneLine).show_parts(
            (" flunq ", "bold $primary"),
            (f" {name} ", "bold $error" if link.production else "bold"),
            (f" {link.tenant} ", ""),
            (f" ● {state}", looks.get(link.state, "")),
            (f"  {link.problem}" if link.state == "lost" else "", "$error"),
            (f"   {app.meters.seconds['events'].per_second(app.now()):.0f}/s", "dim"),
        )
