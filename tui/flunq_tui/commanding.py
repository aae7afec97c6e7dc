"""Commands of the registry: by key, by ``:``, by click and from the palette."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from textual.suggester import SuggestFromList

from flunq_tui.actions import COMMANDS, VIEWS, Command, by_id
from flunq_tui.keys import shown_key
from flunq_tui.model.filters import FilterError
from flunq_tui.navigating import Navigating
from flunq_tui.widgets.status_lines import Hints, Prompt

if TYPE_CHECKING:
    from flunq_tui.widgets.json_pane import Plain


class Commanding(Navigating):
    """Finds what a command means in the view that is shown, and runs it."""

    def action_press(self, key: str) -> None:
        """A key was pressed that nothing on the screen wanted."""
        command = self.keymap.command(key, self.view_name)
        if command is not None:
            self.do(command)

    def do(self, command: Command, argument: str = "") -> None:
        """Run a command, or say why it is impossible."""
        if reason := self.reason(command):
            self.tell(f"{self.say(f'do.{command.id}')}: {reason}", error=True)
            return
        if command.id.startswith("view_"):
            self.show_view(command.id.removeprefix("view_"))
            return
        handler = self.handler(command)
        result = handler(argument) if command.argument else handler()
        if isinstance(result, Coroutine):
            self.attempt(result, group=f"do-{command.id}", exclusive=False)

    def handler(self, command: Command) -> Callable[..., Any]:
        """Return what runs a command: the view's own way, or the app's."""
        own = getattr(self.view, f"do_{command.id}", None)
        found: Callable[..., Any] = own or getattr(self, f"do_{command.id}")
        return found

    def on_hints_chosen(self, event: Hints.Chosen) -> None:
        """A hint was clicked."""
        self.do(by_id[event.command])

    # -- the prompt --------------------------------------------------------------------------------

    def do_filter(self) -> None:
        """Ask for a filter of this view."""
        hint = "search.hint" if self.view_name == "execution" else "filter.hint"
        prompt = self.frame.query_one(Prompt)
        known = self.options.memory.looks(self.view_name).filters
        prompt.suggester = SuggestFromList([f"@{name}" for name in known]) if known else None
        prompt.ask("filter", self.view.filter_text, f"/{self.say(hint)}")

    def do_command(self) -> None:
        """Ask for a command."""
        prompt = self.frame.query_one(Prompt)
        prompt.suggester = SuggestFromList(self._words(), case_sensitive=False)
        prompt.ask("command", "", f":{self.say('command.hint')}")

    def _words(self) -> list[str]:
        """Return what may be typed after ``:`` here; the arrow to the right takes an offer."""
        here = [each.id for each in COMMANDS if each.is_in(self.view_name)]
        return [*VIEWS, *(name for name in here if not name.startswith("view_"))]

    def on_prompt_finished(self, event: Prompt.Finished) -> None:
        """Use what was entered."""
        self.frame.set_focus(self.view.first_focus())
        if event.text is None:
            return
        if event.mode == "command":
            self.run_command(event.text)
            return
        known = self.options.memory.looks(self.view_name).filters
        text = known.get(event.text.strip().removeprefix("@"), event.text)
        try:
            self.view.set_filter(text if event.text.startswith("@") else event.text)
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
            self.do(by_id[exact], rest.strip())
        elif name:
            self.open_execution(name)

    def help_lines(self) -> list[Plain]:
        """Return the commands of this view with their keys, and why some are impossible."""
        lines: list[Plain] = []
        situation = self.situation()
        here = [each for each in COMMANDS if each.is_in(self.view_name)]
        for group in dict.fromkeys(each.group for each in here):
            lines.append(((self.say(f"group.{group}"), "title"),))
            for each in here:
                if each.group != group:
                    continue
                keys = " ".join(shown_key(key) for key in self.keymap.keys_of(each.id))
                reason = self.reason(each, situation)
                look, why = ("dim", f"  ({reason})") if reason else ("", "")
                text = self.say(f"help.{each.id}")
                lines.append(((f"  {keys:<12} ", "key"), (text, look), (why, "dim")))
        lines.append((("", ""),))
        lines += [((line, "dim"),) for line in self.say("help.language").split("\n")]
        return lines
