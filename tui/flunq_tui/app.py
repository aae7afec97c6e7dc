"""The monitor: views by name, commands from one registry, one source for all data."""

from __future__ import annotations

import asyncio
import signal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core import events as types
from flunq.errors import FlunqError
from flunq.services.signals import HANGUP, handle_signals
from flunq_tui.dialogs.reading import Reading
from flunq_tui.keeping import Keeping
from flunq_tui.model.meters import Meters
from flunq_tui.options import DEFAULT_THEME, Options, keys_file, state_file
from flunq_tui.views.base import View

if TYPE_CHECKING:
    from flunq_tui.acting import Acting
    from flunq_tui.answers import Answers
    from flunq_tui.filling import Filling
    from flunq_tui.source import Events, Link, Source

__all__ = ["Meters", "Monitor", "Options", "keys_file", "state_file"]


class Monitor(Keeping):
    """The application."""

    def __init__(self, source: Source, options: Options | None = None) -> None:
        super().__init__(source, options)
        self._mouse = True

    async def begin(self) -> None:
        """Paint first, connect then; the frame calls it once it stands."""
        self.theme = self._theme()
        self.begun = True
        self._leave_on_signals()
        self.source.on_link(self._hear_link)
        self.source.subscribe(self._hear)
        self.set_interval(1.0, self._tick)
        await self._show(self.view_name)
        # What connects is imported then: people see the frame while that goes on.
        self.call_after_refresh(self._connect)

    def _connect(self) -> None:
        self.run_worker(self._open(), exit_on_error=False, group="open")

    def _theme(self) -> str:
        wanted = self.options.theme or self.options.memory.kept.theme
        return wanted if wanted in self.available_themes else DEFAULT_THEME

    def _leave_on_signals(self) -> None:
        """End properly, so that the terminal is as it was; without a terminal there is no need."""
        if not self.is_headless:
            handle_signals((signal.SIGTERM, HANGUP), self.exit)

    async def _open(self) -> None:
        while True:
            try:
                await self.source.open()
            except FlunqError as error:
                self.tell(f"{error.message}\n{error.hint or ''}".strip(), error=True)
                await asyncio.sleep(2.0)
            else:
                break
        self._link_changed(self.source.link)
        await self.view.enter()
        first = self.options.first or self.options.memory.kept.view
        if first and first != self.view_name:
            self.run_command(first)

    async def on_unmount(self) -> None:
        """Disconnect."""
        await self.source.close()

    def _hear_link(self, link: Link) -> None:
        self.call_later(self._link_changed, link)

    def _hear(self, events: Events) -> None:
        self.meters.take(events)
        tail = self.frame.query_one("#events", View) if self.has_view("events") else None
        if tail is None:
            self.early.extend(events)
        else:
            tail.hear(events)
        if tail is not self.view:
            self.view.hear(events)

    def _tick(self) -> None:
        if not self.is_running:
            return  # the screen is being taken apart
        if self.has_view(self.view_name) and self.source.link.state != "connecting":
            self.view.tick()
        self.frame.show_top(self.source.link)

    def _link_changed(self, link: Link) -> None:
        lost = link.state == "lost"
        self.frame.query_one("#views").set_class(lost, "-dimmed")
        self.frame.show_top(link)
        self.show_hints()
        if link.state == "live" and self.has_view(self.view_name):
            self.run_worker(self.view.enter(), exit_on_error=False)

    # -- commands ----------------------------------------------------------------------------------

    @cached_property
    def _acting(self) -> Acting:
        # Its forms cost time that the first screen need not wait for.
        from flunq_tui.acting import Acting

        return Acting(self)

    @cached_property
    def _filling(self) -> Filling:
        from flunq_tui.filling import Filling

        return Filling(self)

    @cached_property
    def _answers(self) -> Answers:
        from flunq_tui.answers import Answers

        return Answers(self)

    def do_help(self) -> None:
        """Show every command that exists here."""
        self.push_screen(Reading(self.say("do.help"), lines=self.help_lines(), copy=self.copy_text))

    def do_palette(self) -> None:
        """Find a command by its name."""
        self.action_command_palette()

    def do_back(self) -> None:
        """One step back, never out."""
        if not self.view.step_back() and self.view_name == "execution":
            self.do_leave()
        self.show_title(self.view)

    def do_leave(self) -> None:
        """Back to the view before; at the beginning, out."""
        if not self._travel(self._past, []):
            self.do_quit()

    def do_quit(self) -> None:
        """End the monitor; executions go on."""
        self.keep_view()
        self.exit()

    async def action_quit(self) -> None:
        """Textual's own key for leaving."""
        self.do_quit()

    def do_theme(self) -> None:
        """Choose a theme."""
        self.search_themes()

    def do_mouse(self) -> None:
        """Give the mouse back to the terminal, or take it again."""
        self._mouse = not self._mouse
        driver = self._driver
        name = "_enable_mouse_support" if self._mouse else "_disable_mouse_support"
        switch = getattr(driver, name, None)
        if switch is not None:
            switch()
        self.tell(self.say("mouse.on" if self._mouse else "mouse.off"))

    async def do_suspend(self) -> None:
        """Suspend what is selected."""
        await self._acting.on_executions("suspend", self.view.items())

    async def do_resume(self) -> None:
        """Resume what is selected."""
        await self._acting.on_executions("resume", self.view.items())

    async def do_cancel(self) -> None:
        """Cancel what is selected."""
        await self._acting.on_executions("cancel", self.view.items())

    async def do_delete(self) -> None:
        """Delete what is selected."""
        await self._acting.on_executions("delete", self.view.items())

    async def do_export(self) -> None:
        """Write what is selected into files."""
        await self._acting.export(self.view.items())

    async def do_start(self) -> None:
        """Start the workflow of what is selected."""
        await self._filling.start(self.view.items())

    async def do_answer(self) -> None:
        """Give an execution the event that it waits for."""
        await self._filling.answer(self.view.items())

    async def do_retry(self) -> None:
        """Let what failed try again, put dead letters back."""
        await self._acting.on_executions("retry", self.view.items())

    async def do_retry_edited(self) -> None:
        """Try again with another input."""
        await self._acting.retry_edited(self.view.items())

    async def do_fork(self) -> None:
        """Begin a new execution where this one was."""
        await self._acting.fork(self.view.items(), self.view.position_shown())

    async def do_rewind(self) -> None:
        """Put the execution back to the event that is shown."""
        position = self.view.position_shown()
        if position is None:
            self.tell(self.say("rewind.now"), error=True)
        else:
            await self._acting.rewind(self.view.items(), position)

    async def do_emit(self) -> None:
        """Publish an event."""
        await self._filling.emit(self.view.items())

    async def do_trigger(self) -> None:
        """Fire now."""
        await self._acting.steer("trigger", self.view.items())

    async def do_pause_schedule(self) -> None:
        """Pause a schedule."""
        await self._acting.steer("pause", self.view.items())
        await self.view.enter()

    async def do_resume_schedule(self) -> None:
        """Resume a schedule."""
        await self._acting.steer("resume", self.view.items())
        await self.view.enter()

    async def do_skip(self) -> None:
        """Let the next fire pass."""
        await self._acting.steer("skip", self.view.items())
        await self.view.enter()

    async def do_unskip(self) -> None:
        """Let no fire pass that is still to come."""
        await self._acting.steer("unskip", self.view.items())
        await self.view.enter()

    async def do_why(self) -> None:
        """Say what an execution waits for."""
        await self._answers.why(self.view.items())

    async def do_json(self) -> None:
        """Show what is selected as JSON."""
        await self._answers.json(self.view.items())

    def do_events(self) -> None:
        """Open the execution at its events."""
        self.open_execution(self.view.items()[0].id, at_events=True)

    async def do_copy(self) -> None:
        """Choose what to copy."""
        await self._answers.copy(self.view.items())

    # -- helpers of actions ------------------------------------------------------------------------

    def text_to_copy(self) -> str:
        """Return what the view itself would copy."""
        own = getattr(self.view, "text_to_copy", None)
        return str(own()) if own is not None else ""

    def selected_value(self) -> Any:
        """Return what is selected as a JSON value."""
        text = self.text_to_copy()
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            return text

    def new_event(self, members: dict[str, Any]) -> dict[str, Any]:
        """Return a CloudEvent with the members that every one has."""
        from flunq.client.ids import new_id

        return {
            "specversion": "1.0",
            "id": new_id(),
            "time": types.timestamp(self.now()),
            "datacontenttype": "application/json",
            **members,
        }
