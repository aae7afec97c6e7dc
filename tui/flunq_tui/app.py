"""The monitor: views by name, commands from one registry, one source for all data."""

from __future__ import annotations

import asyncio
import csv
import io
import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from textual.app import App
from textual.screen import Screen
from textual.widgets import ContentSwitcher

from flunq.core import events as types
from flunq.errors import FlunqError
from flunq_tui.actions import COMMANDS, VIEWS, Command, Situation, by_id, why_not
from flunq_tui.dialogs.reading import Reading
from flunq_tui.keys import Keymap, shown_key
from flunq_tui.messages import Catalog
from flunq_tui.model.equivalents import equal_command
from flunq_tui.model.filters import FilterError
from flunq_tui.model.formats import duration, micros
from flunq_tui.model.rates import Series
from flunq_tui.palette import CommandProvider
from flunq_tui.views import view_class
from flunq_tui.views.base import View
from flunq_tui.widgets.status_lines import Hints, OneLine, Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from textual.app import ComposeResult

    from flunq.core.events import LazyEvent
    from flunq_tui.acting import Acting
    from flunq_tui.source import Events, Link, Source
    from flunq_tui.widgets.json_pane import Plain

_log = logging.getLogger(__name__)
_EARLY = 20_000
_FAILED = frozenset({types.WORKFLOW_FAULTED, types.QUARANTINED})


def _now() -> int:
    return time.time_ns() // 1_000


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the monitor is set up; tests freeze the clock here."""

    keymap: Keymap = field(default_factory=Keymap)
    language: str = "en"
    theme: str = "textual-dark"
    now: Callable[[], int] = _now
    zone: tzinfo | None = None
    first: str = ""
    """What to do once connected, as after ``:``."""
    folder: Path = field(default_factory=Path.cwd)
    """Where files are saved."""


class Meters:
    """Counts of what happened, for the overview."""

    def __init__(self) -> None:
        self.seconds = {name: Series(1, 120) for name in ("events", "started", "ended", "failed")}
        self.minutes = Series(60, 120)

    def take(self, events: Events) -> None:
        """Count events."""
        for event in events:
            moment = micros(event.time)
            self.seconds["events"].add(moment)
            if event.type == types.WORKFLOW_STARTED:
                self.seconds["started"].add(moment)
            elif event.type in types.TERMINAL_TYPES:
                self.seconds["ended"].add(moment)
                self.minutes.add(moment)
                if event.type in _FAILED:
                    self.seconds["failed"].add(moment)


class Monitor(App[None]):
    """The application."""

    TITLE = "flunq"
    COMMANDS = {CommandProvider}  # noqa: RUF012 - the type is Textual's
    BINDINGS: ClassVar = []
    CSS = """
    #top { height: 1; background: $panel; }
    #title { height: 1; }
    #views { height: 1fr; }
    .-dimmed { opacity: 60%; }
    """

    def __init__(self, source: Source, options: Options | None = None) -> None:
        super().__init__()
        self.source = source
        self.options = options or Options()
        self.say = Catalog(self.options.language)
        self.keymap = self.options.keymap
        self.now = self.options.now
        self.zone = self.options.zone
        self.meters = Meters()
        self.early: deque[LazyEvent] = deque(maxlen=_EARLY)
        """Events that were heard before anybody looked at them."""
        self.view_name = VIEWS[0]
        self._past: list[tuple[str, str]] = []
        self._future: list[tuple[str, str]] = []
        self._mouse = True
        self._moving = asyncio.Lock()
        for key in self.keymap.keys:
            self.bind(key, f"press('{key}')", show=False)

    # -- the frame ---------------------------------------------------------------------------------

    def get_default_screen(self) -> Screen[None]:
        """Return the frame around the views."""
        return Frame()

    @property
    def frame(self) -> Frame:
        """The screen below all dialogs."""
        found = self.screen_stack[0]
        assert isinstance(found, Frame)
        return found

    @property
    def view(self) -> View:
        """The view that is shown."""
        return self.frame.query_one(f"#{self.view_name}", View)

    def is_shown(self, view: View) -> bool:
        """Tell whether a view is the one on the screen."""
        return self.view_name == view.NAME

    async def begin(self) -> None:
        """Paint first, connect then; the frame calls it once it stands."""
        self.theme = self.options.theme
        self._leave_on_signals()
        self.source.on_link(self._hear_link)
        self.source.subscribe(self._hear)
        self.set_interval(1.0, self._tick)
        await self._show(self.view_name)
        self.run_worker(self._open(), exit_on_error=False, group="open")

    def _leave_on_signals(self) -> None:
        """End properly, so that the terminal is as it was; without a terminal there is no need."""
        if self.is_headless:
            return
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError, ValueError, RuntimeError):  # Windows, other threads
            for number in (signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(number, self.exit)

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
        if self.options.first:
            self.run_command(self.options.first)

    async def on_unmount(self) -> None:
        """Disconnect."""
        await self.source.close()

    def _hear_link(self, link: Link) -> None:
        self.call_later(self._link_changed, link)

    def _hear(self, events: Events) -> None:
        self.meters.take(events)
        tail = self.frame.query_one("#events", View) if self._has_view("events") else None
        if tail is None:
            self.early.extend(events)
        else:
            tail.hear(events)
        if tail is not self.view:
            self.view.hear(events)

    def _has_view(self, name: str) -> bool:
        return bool(self.frame.query(f"#{name}"))

    def _tick(self) -> None:
        if self._has_view(self.view_name) and self.source.link.state != "connecting":
            self.view.tick()
        self.frame.show_top(self.source.link)

    def _link_changed(self, link: Link) -> None:
        lost = link.state == "lost"
        self.frame.query_one("#views").set_class(lost, "-dimmed")
        self.frame.show_top(link)
        self.show_hints()
        if link.state == "live" and self._has_view(self.view_name):
            self.run_worker(self.view.enter(), exit_on_error=False)

    # -- views -------------------------------------------------------------------------------------

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
        if self._has_view(self.view_name) and self.view_name != name:
            self.view.leave()
        if not self._has_view(name):
            view = view_class(name)()
            view.id = name
            await views.mount(view)
        self.view_name = name
        views.current = name
        focus = self.view.first_focus()
        self.frame.set_focus(focus)
        if self.source.link.state in ("live", "lost", "file"):
            await self.view.enter()
        self.show_title(self.view)
        self.show_hints()

    def open_execution(self, execution: str) -> None:
        """Show one execution."""
        self._past.append(self._place())
        self._future.clear()
        self.attempt(self._go_to_execution(execution), group="go", exclusive=False)

    async def _go_to_execution(self, execution: str) -> None:
        from flunq_tui.views.execution import ExecutionView

        await self._show("execution")
        view = self.view
        assert isinstance(view, ExecutionView)
        if view.execution.id != execution:
            view.open(execution)

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

    # -- commands ----------------------------------------------------------------------------------

    def situation(self) -> Situation:
        """Return what matters for whether commands are possible."""
        state = self.source.link.state
        return Situation(
            view=self.view_name,
            items=self.view.items() if self._has_view(self.view_name) else (),
            offline=self.source.offline,
            connected=state in ("live", "file"),
        )

    def action_press(self, key: str) -> None:
        """A key was pressed that nothing on the screen wanted."""
        command = self.keymap.command(key, self.view_name)
        if command is not None:
            self.do(command)

    def do(self, command: Command) -> None:
        """Run a command, or say why it is impossible."""
        reason = why_not(command, self.situation())
        if reason is not None:
            message, values = reason
            title = self.say(f"do.{command.id}")
            self.tell(f"{title}: {self.say(message, **values)}", error=True)
            return
        if command.id.startswith("view_"):
            self.show_view(command.id.removeprefix("view_"))
            return
        result = self.handler(command)()
        if isinstance(result, Coroutine):
            self.attempt(result, group=f"do-{command.id}", exclusive=False)

    def handler(self, command: Command) -> Callable[[], Any]:
        """Return what runs a command: the view's own way, or the app's."""
        own = getattr(self.view, f"do_{command.id}", None)
        found: Callable[[], Any] = own or getattr(self, f"do_{command.id}")
        return found

    def attempt(
        self,
        work: Coroutine[Any, Any, Any],
        *,
        after: Callable[[str], None] | None = None,
        group: str = "",
        exclusive: bool = True,
    ) -> None:
        """Run something in the background; a failure is told and never ends the monitor."""
        name = group or getattr(work, "__qualname__", "work")
        self.run_worker(
            self._attempted(work, after),
            exit_on_error=False,
            group=name,
            exclusive=exclusive and bool(group) and after is None,
        )

    async def _attempted(
        self, work: Coroutine[Any, Any, Any], after: Callable[[str], None] | None
    ) -> None:
        problem = ""
        try:
            await work
        except (FlunqError, FilterError) as error:
            problem = getattr(error, "message", str(error))
        except Exception as error:  # noqa: BLE001 - one odd object must not end the monitor
            _log.exception("the monitor failed at something")
            problem = f"{type(error).__name__}: {error}"
        if after is not None:
            after(problem)
        elif problem:
            self.tell(problem, error=True)

    def tell(self, text: str, *, error: bool = False) -> None:
        """Show a message for some seconds."""
        self.notify(text, severity="error" if error else "information", markup=False, timeout=6)

    def show_hints(self) -> None:
        """Show the keys that matter now."""
        situation = self.situation()
        hinted = [each for each in COMMANDS if each.hint and each.is_in(self.view_name)]
        hints = [
            (
                each.id,
                self.keymap.shown(each.id),
                self.say(f"do.{each.id}"),
                why_not(each, situation) is None,
            )
            for each in sorted(hinted, key=lambda each: each.hint)
        ]
        self.frame.query_one(Hints).show_hints(hints)

    def on_hints_chosen(self, event: Hints.Chosen) -> None:
        """A hint was clicked."""
        self.do(by_id[event.command])

    # -- the prompt --------------------------------------------------------------------------------

    def do_filter(self) -> None:
        """Ask for a filter of this view."""
        hint = "search.hint" if self.view_name == "execution" else "filter.hint"
        self.frame.query_one(Prompt).ask("filter", self.view.filter_text, f"/{self.say(hint)}")

    def do_command(self) -> None:
        """Ask for a command."""
        self.frame.query_one(Prompt).ask("command", "", f":{self.say('command.hint')}")

    def on_prompt_finished(self, event: Prompt.Finished) -> None:
        """Use what was entered."""
        self.frame.set_focus(self.view.first_focus())
        if event.text is None:
            return
        if event.mode == "command":
            self.run_command(event.text)
            return
        try:
            self.view.set_filter(event.text)
        except FilterError as error:
            self.tell(self.say("filter.wrong", problem=error), error=True)
        self.show_title(self.view)

    def run_command(self, text: str) -> None:
        """Do what was typed after ``:``: a view (with a filter), a command, an id."""
        name, _, rest = text.strip().partition(" ")
        found = [each for each in (*VIEWS, *by_id) if name and each.startswith(name.lower())]
        exact = name.lower() if name.lower() in found else next(iter(found), "")
        if exact in VIEWS:
            self.show_view(exact, filter_text=rest or None)
        elif exact:
            self.do(by_id[exact])
        elif name:
            self.open_execution(name)

    @cached_property
    def _acting(self) -> Acting:
        # Its forms cost time that the first screen need not wait for.
        from flunq_tui.acting import Acting

        return Acting(self)

    # -- commands of the app -----------------------------------------------------------------------

    def do_help(self) -> None:
        """Show every command that exists here."""
        self.push_screen(Reading(self.say("do.help"), lines=self.help_lines(), copy=self.copy_text))

    def help_lines(self) -> list[Plain]:
        """Return the commands of this view with their keys, and why some are impossible."""
        situation = self.situation()
        lines: list[Plain] = []
        here = [each for each in COMMANDS if each.is_in(self.view_name)]
        for group in dict.fromkeys(each.group for each in here):
            lines.append(((self.say(f"group.{group}"), "title"),))
            for each in here:
                if each.group != group:
                    continue
                keys = " ".join(shown_key(key) for key in self.keymap.keys_of(each.id))
                reason = why_not(each, situation)
                look = "" if reason is None else "dim"
                why = f"  ({self.say(reason[0], **reason[1])})" if reason is not None else ""
                text = self.say(f"help.{each.id}")
                lines.append(((f"  {keys:<12} ", "key"), (text, look), (why, "dim")))
        lines.append((("", ""),))
        lines += [((line, "dim"),) for line in self.say("help.filters").split("\n")]
        return lines

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
        self.exit()

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

    async def do_save(self) -> None:
        """Write the table of this view into a file."""
        from flunq.client.ids import new_id

        table = self.view.table()
        if table is None:
            return
        path = self.options.folder / f"flunq-{self.view_name}-{new_id()[:13]}.csv"
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow([each.title for each in table.all_columns])
        for _, cells in table.rows.page(0, table.count()):
            writer.writerow([_cell_text(cell) for cell in cells])
        await asyncio.to_thread(path.write_text, text.getvalue(), "utf-8")
        self.tell(self.say("act.exported", path=path))

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
        await self._acting.start(self.view.items())

    async def do_emit(self) -> None:
        """Publish an event."""
        await self._acting.emit(self.view.items())

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

    async def do_why(self) -> None:
        """Say what an execution waits for."""
        await self._acting.why(self.view.items())

    async def do_json(self) -> None:
        """Show what is selected as JSON."""
        await self._acting.json(self.view.items())

    def do_events(self) -> None:
        """Open the execution at its events."""
        items = self.view.items()
        self.open_execution(items[0].id)
        self.call_later(self._to_events)

    async def _to_events(self) -> None:
        await self.workers.wait_for_complete([each for each in self.workers if each.group == "go"])
        if self.view_name == "execution":
            self.do(by_id["events"])

    async def do_copy(self) -> None:
        """Choose what to copy."""
        items = self.view.items()
        texts = {
            "id": "\n".join(item.id for item in items),
            "command": equal_command(self.view_name, items),
            "value": self.text_to_copy(),
        }
        options = [(name, self.say(f"copy.{name}")) for name, text in texts.items() if text]
        chosen = await self.choose(self.say("do.copy"), options)
        if chosen is not None:
            self.copy_text(texts[chosen])

    # -- helpers of views and actions --------------------------------------------------------------

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

    def copy_text(self, text: str) -> None:
        """Copy through the terminal, so that it works over ssh too."""
        self.copy_to_clipboard(text)
        self.tell(self.say("copy.done", count=len(text)))

    async def choose(self, heading: str, options: Sequence[tuple[str, str]]) -> str | None:
        """Let somebody choose one thing."""
        from flunq_tui.dialogs.choice import Choice

        return await self.push_screen_wait(Choice(heading, options))

    async def choose_many(
        self, heading: str, options: Sequence[tuple[str, str]], chosen: set[str]
    ) -> set[str] | None:
        """Let somebody choose several things."""
        from flunq_tui.dialogs.choice import Choices

        return await self.push_screen_wait(Choices(heading, options, chosen))

    async def read(self, heading: str, *, lines: Sequence[Plain] = (), value: Any = None) -> None:
        """Show something to read."""
        await self.push_screen_wait(Reading(heading, lines=lines, value=value, copy=self.copy_text))

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


class Frame(Screen[None]):
    """Head line, title, the views, the prompt and the hints."""

    def compose(self) -> ComposeResult:
        """Draw the frame."""
        yield OneLine(id="top")
        yield OneLine(id="title")
        yield ContentSwitcher(id="views")
        yield Prompt()
        yield Hints()

    async def on_mount(self) -> None:
        """Show the first view."""
        app = self.app
        assert isinstance(app, Monitor)
        await app.begin()

    def on_resize(self) -> None:
        """The hints depend on the width."""
        app = self.app
        if isinstance(app, Monitor) and self.query(f"#{app.view_name}"):
            app.show_hints()

    def show_top(self, link: Link) -> None:
        """Draw the head line."""
        app = self.app
        assert isinstance(app, Monitor)
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


def _cell_text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    return str(cell[0]) if len(cell) == 2 else ""


def keys_file() -> Path:
    """Return where people put their own keys."""
    from flunq.contexts import config_home

    return config_home() / "keys.toml"
