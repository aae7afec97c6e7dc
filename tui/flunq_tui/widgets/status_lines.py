"""The lines around a view: what one is connected to, what is shown, what can be done now."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from flunq_tui.text import harmless, width_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.events import Click

Parts = list[tuple[str, str]]


class OneLine(Static):
    """One line made of parts: (text, CSS colour or style)."""

    DEFAULT_CSS = "OneLine { height: 1; width: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self.text = ""
        self._shown: Content | None = None

    def show_parts(self, *parts: tuple[str, str]) -> None:
        """Show parts; data in them is made harmless."""
        safe = [(harmless(text), style) for text, style in parts if text]
        content = Content.assemble(*safe)
        if self._shown is not None and content.is_same(self._shown):
            return
        self._shown = content
        self.text = content.plain
        # One line stays one line: nothing around it has to be arranged anew.
        self.update(content, layout=False)


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """A key and what it does."""

    command: str
    key: str
    title: str
    possible: bool = True
    stays: bool = False
    """However narrow the terminal is."""

    def parts(self, *, bare: bool = False) -> Parts:
        """Return what is shown, ``bare`` the key alone."""
        title = " " if bare else f" {self.title} "
        return [(f" {self.key}", "bold"), (title, "" if self.possible else "dim")]


def arranged(hints: Sequence[Hint], width: int) -> list[tuple[str, Parts]]:
    """Return command and parts of what is shown, from the left to the right."""
    last = [(each.command, each.parts()) for each in hints if each.stays]
    if _width(parts for _, parts in last) > width:
        last = [(each.command, each.parts(bare=True)) for each in hints if each.stays]
    room = width - _width(parts for _, parts in last)
    first: list[tuple[str, Parts]] = []
    for each in hints:
        parts = each.parts()
        if each.stays:
            continue
        if _width([parts]) > room:
            break
        room -= _width([parts])
        first.append((each.command, parts))
    return [*first, ("", [(" " * room, "")]), *last]


def _width(hints: Iterable[Parts]) -> int:
    return sum(width_of(text) for parts in hints for text, _ in parts)


class Hints(OneLine):
    """The keys that matter now; a click does what the key does."""

    DEFAULT_CSS = "Hints { background: $panel; }"

    class Chosen(Message):
        """A hint was clicked."""

        def __init__(self, command: str) -> None:
            super().__init__()
            self.command = command

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._places: list[tuple[int, int, str]] = []
        self._hints: Sequence[Hint] = ()

    def show_hints(self, hints: Sequence[Hint]) -> None:
        """Show those that stay at the right end, and of the others what there is room for."""
        self._hints = hints
        if not self.size.width:
            return  # it has no place yet, and will be told when it has
        self._places = []
        place = 0
        parts: Parts = []
        for command, shown in arranged(hints, self.size.width):
            end = place + _width([shown])
            self._places.append((place, end, command))
            place = end
            parts += shown
        self.show_parts(*parts)

    def on_resize(self) -> None:
        """Find out anew what there is room for."""
        self.show_hints(self._hints)

    def on_click(self, event: Click) -> None:
        """Find the hint under the mouse."""
        for low, high, command in self._places:
            if command and low <= event.x < high:
                self.post_message(self.Chosen(command))


class PaneNames(OneLine):
    """The names of the panes, scrolled so that the one that is shown is among them."""

    class Chosen(Message):
        """A name was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._places: list[tuple[int, int, str]] = []
        self._names: list[tuple[str, str]] = []
        self._current = ""

    def show_names(self, names: list[tuple[str, str]], current: str) -> None:
        """Show (name, title) with one of them marked."""
        self._names, self._current = names, current
        titles = [f" {title} " for _, title in names]
        at = next((at for at, (name, _) in enumerate(names) if name == current), 0)
        first = 0
        while first < at and sum(map(width_of, titles[first : at + 1])) + 1 > self.size.width > 0:
            first += 1
        parts: list[tuple[str, str]] = [("<", "dim")] if first else []
        self._places = []
        place = len(parts)
        for (name, _), title in list(zip(names, titles, strict=True))[first:]:
            self._places.append((place, place + width_of(title), name))
            place += width_of(title)
            parts.append((title, "bold reverse" if name == current else ""))
        self.show_parts(*parts)

    def on_resize(self) -> None:
        """Scroll again."""
        self.show_names(self._names, self._current)

    def on_click(self, event: Click) -> None:
        """Find the name under the mouse."""
        for low, high, name in self._places:
            if low <= event.x < high:
                self.post_message(self.Chosen(name))


class Prompt(Input):
    """The line for filters and commands; hidden when it is not needed."""

    DEFAULT_CSS = """
    Prompt { height: 1; border: none; padding: 0; display: none; background: $boost; }
    Prompt:focus { border: none; }
    Prompt.-open { display: block; }
    """

    BINDINGS: ClassVar = [("escape", "give_up", "")]

    class Finished(Message):
        """A text was entered, or given up (None)."""

        def __init__(self, mode: str, text: str | None) -> None:
            super().__init__()
            self.mode = mode
            self.text = text

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, select_on_focus=False)
        self.mode = ""
        self.past: dict[str, list[str]] = {}
        self._back = 0

    def ask(self, mode: str, text: str, example: str) -> None:
        """Open the line."""
        self.mode = mode
        self._back = 0
        self.placeholder = example
        self.value = text
        self.cursor_position = len(text)
        self.add_class("-open")
        self.focus()

    def close(self) -> None:
        """Hide the line."""
        self.remove_class("-open")

    def action_give_up(self) -> None:
        """Leave without a result."""
        self.close()
        self.post_message(self.Finished(self.mode, None))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Hand the text on."""
        event.stop()
        past = self.past.setdefault(self.mode, [])
        if self.value and self.value not in past[-1:]:
            past.append(self.value)
        self.close()
        self.post_message(self.Finished(self.mode, self.value))

    def key_up(self) -> None:
        """Go back in what was entered before."""
        self._recall(1)

    def key_down(self) -> None:
        """Go forth again."""
        self._recall(-1)

    def _recall(self, step: int) -> None:
        past = self.past.get(self.mode, [])
        self._back = min(max(self._back + step, 0), len(past))
        self.value = past[-self._back] if self._back else ""
        self.cursor_position = len(self.value)
