"""A JSON value that folds, is searched and shows differences; or any other lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from flunq_tui import theme
from flunq_tui.model.folding import Folding, pretty, value_at
from flunq_tui.text import harmless
from flunq_tui.widgets.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from flunq_tui.model.difference import Difference

Plain: TypeAlias = tuple[tuple[str, str], ...]
"""A line of text: its parts, each with the name of its look."""


class JsonPane(Lines):
    """Shows one value at a time."""

    PREFIX: ClassVar[str] = "json"
    COMPONENT_CLASSES, DEFAULT_CSS = theme.looks("json")
    DEFAULT_CSS = "JsonPane { height: 1fr; width: 1fr;" + DEFAULT_CSS + "}"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.wanted = ""
        """What is searched for."""
        self._folding: Folding | None = None
        self._plain: list[Plain] = []
        self._shown: object = None

    def show_value(self, value: Any, identity: object) -> None:
        """Show a value; the same identity keeps the place and what is folded."""
        if identity == self._shown and self._folding is not None:
            if self._folding.value is not value:
                self._folding = Folding(value, folded=self._folding.folded)
                self.measure()
            return
        self._folding, self._plain = Folding(value), []
        self._begin(identity)

    def show_lines(self, lines: Sequence[Plain], identity: object, at: int = 0) -> None:
        """Show lines of text, the cursor on one of them."""
        fresh = identity != self._shown
        self._folding, self._plain = None, list(lines)
        self._strips.clear()
        if fresh:
            self._begin(identity)
            self.move_to(at, tell=False)
        else:
            self.measure()

    def show_differences(self, found: Sequence[Difference], identity: object, none: str) -> None:
        """Show what differs."""
        looks = {"-": "bad", "+": "ok"}
        lines: list[Plain] = [
            ((f"{sign} {text}", looks[sign]),) for each in found for sign, text in each.lines()
        ]
        self.show_lines(lines or [((none, "dim"),)], identity)

    def _begin(self, identity: object) -> None:
        self._shown = identity
        self.cursor = 0
        self._strips.clear()
        self.jump(0)
        self.measure()

    # -- what people do ----------------------------------------------------------------------------

    def toggle(self) -> None:
        """Fold or unfold what is under the cursor."""
        if self._folding is None or self.cursor >= self.count():
            return
        line = self._folding.lines[self.cursor]
        if line.kind in ("open", "folded", "more", "close"):
            self._folding.toggle(line.pointer)
            self._strips.clear()
            self.measure()

    def fold_deep(self, folded: bool) -> None:
        """Fold everything below the first level, or unfold all."""
        if self._folding is not None:
            if folded:
                self._folding.fold_all()
            else:
                self._folding.unfold_all()
            self._strips.clear()
            self.measure()

    def find(self, wanted: str, *, again: bool = False) -> bool:
        """Go to the next line that contains a text."""
        self.wanted = wanted
        self._strips.clear()
        self.refresh()
        if not wanted:
            return True
        start = self.cursor if again else self.cursor - 1
        if self._folding is not None:
            found = self._folding.find(wanted, start)
        else:
            found = self._find_plain(wanted.casefold(), start)
        if found is not None:
            self.move_to(found)
        return found is not None

    def _find_plain(self, wanted: str, start: int) -> int | None:
        count = len(self._plain)
        places = ((start + step) % count for step in range(1, count + 1)) if count else ()
        return next((at for at in places if wanted in _text(self._plain[at]).casefold()), None)

    def text_to_copy(self, *, whole: bool = True) -> str:
        """Return the value as JSON, or the part under the cursor."""
        if self._folding is None:
            if whole:
                return "\n".join(map(_text, self._plain))
            return _text(self._plain[self.cursor]) if self._plain else ""
        if whole:
            return pretty(self._folding.value)
        line = self._folding.lines[self.cursor]
        part = value_at(self._folding.value, line.pointer.removesuffix("/…"))
        return part if isinstance(part, str) else pretty(part)

    def line_clicked(self, index: int, x: int) -> None:
        """A click on the sign of a container folds it."""
        if self._folding is not None:
            line = self._folding.lines[index]
            foldable = line.kind in ("open", "folded", "more")
            if foldable and x in range(line.depth * 2, line.depth * 2 + 2):
                self.toggle()

    # -- drawing -----------------------------------------------------------------------------------

    def count(self) -> int:
        """Return the number of lines."""
        return len(self._plain) if self._folding is None else len(self._folding.lines)

    def draw(self, index: int, width: int) -> tuple[Hashable, Sequence[tuple[str, str]]]:
        """Return the parts of a line."""
        if self._folding is None:
            plain = self._plain[index]
            safe = [(harmless(text), look) for text, look in plain]
            return (plain, self.wanted), _found(safe, self.wanted)
        line = self._folding.lines[index]
        sign = {"open": "▾ ", "folded": "▸ ", "more": "… "}.get(line.kind, "  ")
        parts = [("  " * line.depth + sign, "dim")]
        if line.key:
            parts.append((f"{harmless(line.key)}: ", "key"))
        look = {"string": "string", "number": "number", "word": "word"}.get(line.kind, "dim")
        parts.append((harmless(line.text), look))
        return (line, self.wanted), _found(parts, self.wanted)


def _text(plain: Plain) -> str:
    return "".join(text for text, _ in plain)


def _found(parts: list[tuple[str, str]], wanted: str) -> list[tuple[str, str]]:
    """Make what was searched for stand out."""
    if not wanted:
        return parts
    result: list[tuple[str, str]] = []
    lowered = wanted.casefold()
    for text, look in parts:
        place = text.casefold().find(lowered)
        if place < 0 or len(text.casefold()) != len(text):
            result.append((text, look))
            continue
        end = place + len(wanted)
        result += [(text[:place], look), (text[place:end], "match"), (text[end:], look)]
    return result
