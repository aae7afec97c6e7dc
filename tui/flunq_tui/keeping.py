"""Commands that keep something: tables in files, filters, queries and looks for the next time."""

from __future__ import annotations

import asyncio
import csv
import io
from typing import TYPE_CHECKING, Any

from flunq_tui.actions import COMMANDS
from flunq_tui.commanding import Commanding

if TYPE_CHECKING:
    from flunq_tui.actions import Command, Situation
    from flunq_tui.dialogs.menu import Entry

_MENU = frozenset({"act", "execution"})
_PASSING = frozenset({"execution"})
"""Views that are about one thing, so that nobody wants to begin there."""


class Keeping(Commanding):
    """What is chosen from lists, and what of it is kept."""

    begun = False
    """Whether themes that come now were chosen by somebody."""

    async def do_write(self) -> None:
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

    # -- the menu ----------------------------------------------------------------------------------

    async def do_actions(self) -> None:
        """Choose one of the things that can be done to what is selected."""
        from flunq_tui.dialogs.menu import Menu  # the first screen need not wait for it

        here = [each for each in COMMANDS if each.is_in(self.view_name) and _in_menu(each)]
        names = [item.id for item in self.view.items()]
        more = f" +{len(names) - 1}" if names[1:] else ""
        situation = self.situation()
        entries = [self._entry(each, situation) for each in here]
        heading = f"{self.say('do.actions')}  {''.join(names[:1])}{more}"
        chosen = await self.push_screen_wait(Menu(heading, entries))
        command = next((each for each in here if each.id == chosen), None)
        if command is not None:
            self.do(command)

    def _entry(self, command: Command, situation: Situation) -> Entry:
        from flunq_tui.dialogs.menu import Entry

        reason = self.reason(command, situation)
        title = self.say(f"do.{command.id}")
        return Entry(
            id=command.id,
            key=self.keymap.shown(command.id),
            text=title if reason else f"{title}: {self.say(f'help.{command.id}')}",
            reason=reason,
        )

    # -- by name -----------------------------------------------------------------------------------

    async def do_save(self, name: str = "") -> None:
        """Keep the filter of this view, or the query, by a name."""
        text = self.view.text_to_keep()
        if not text:
            self.tell(self.say("save.nothing"), error=True)
            return
        name = name or await self._name_for(text)
        if not name:
            return
        memory = self.options.memory
        if self.view_name == "sql":
            memory.keep_query(name, text)
        else:
            memory.keep_filter(self.view_name, name, text)
        self.tell(self.say("save.done", name=name))

    async def _name_for(self, text: str) -> str:
        from flunq_tui.dialogs.form import Form
        from flunq_tui.model.form import Field

        field = Field(path=("name",), kind="string", required=True)
        given = await self.push_screen_wait(Form(text, [field], send=self.say("do.save")))
        return "" if given is None else str(given["value"]["name"]).strip()

    async def do_filters(self) -> None:
        """Choose one of the filters that were kept for this view."""
        known = self.options.memory.looks(self.view_name).filters
        if not known:
            self.tell(self.say("filters.none"))
            return
        options = [(name, f"{name}  {text}") for name, text in known.items()]
        chosen = await self.choose(self.say("do.filters"), options)
        if chosen is not None:
            self.view.set_filter(known[chosen])
            self.show_title(self.view)

    async def do_forget(self, name: str = "") -> None:
        """Forget a filter of this view, or a query."""
        memory = self.options.memory
        queries = self.view_name == "sql"
        known = memory.kept.queries if queries else memory.looks(self.view_name).filters
        if known and not name:
            name = await self.choose(self.say("do.forget"), [(each, each) for each in known]) or ""
        if name not in known:
            self.tell(self.say("filters.none"))
            return
        keep = memory.keep_query if queries else self._keep_filter
        keep(name, "")
        self.tell(self.say("save.forgotten", name=name))

    def _keep_filter(self, name: str, text: str) -> None:
        self.options.memory.keep_filter(self.view_name, name, text)

    # -- looks -------------------------------------------------------------------------------------

    def watch_theme(self, theme: str) -> None:
        """Keep a theme that somebody chose."""
        if self.begun and theme != self.options.memory.kept.theme:
            self.options.memory.kept.theme = theme
            self.options.memory.save()

    def keep_view(self) -> None:
        """Begin here the next time."""
        if self.view_name not in _PASSING:
            self.options.memory.kept.view = self.view_name
            self.options.memory.save()


def _in_menu(command: Command) -> bool:
    return command.group in _MENU or command.id == "copy"


def _cell_text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    return str(cell[0]) if len(cell) == 2 else ""
