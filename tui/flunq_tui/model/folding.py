"""A JSON value as lines that fold: only what is unfolded is ever looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_CHILDREN = 200
"""Members of one object or items of one array that show before somebody asks for all."""
_DEEP = 40
"""Deeper than this everything starts folded."""


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line: ``pointer`` names the value, ``kind`` how to paint it."""

    depth: int
    pointer: str
    key: str
    text: str
    kind: str
    """``open``, ``folded``, ``close``, ``more``, ``string``, ``number``, ``word``, ``empty``."""


class Folding:
    """The lines of one value, and which parts of it are folded."""

    def __init__(self, value: Any, *, folded: set[str] | None = None) -> None:
        self.value = value
        self.folded: set[str] = set() if folded is None else folded
        self.complete: set[str] = set()
        """Pointers of containers whose children all show."""
        self._lines: list[Line] | None = None

    @property
    def lines(self) -> list[Line]:
        """The lines as they are folded now."""
        if self._lines is None:
            self._lines = list(self._walk(self.value, "", "", 0))
        return self._lines

    def toggle(self, pointer: str) -> None:
        """Fold or unfold a container, or show the rest of its children."""
        line = next((each for each in self.lines if each.pointer == pointer), None)
        if line is not None and line.kind == "more":
            self.complete.add(pointer.removesuffix("/…"))
        elif pointer in self.folded:
            self.folded.discard(pointer)
        else:
            self.folded.add(pointer)
        self._lines = None

    def fold_all(self, depth: int = 1) -> None:
        """Fold everything from a depth on."""
        self.folded = {
            line.pointer for line in self.lines if line.kind == "open" and line.depth >= depth
        }
        self._lines = None

    def unfold_all(self) -> None:
        """Unfold everything."""
        self.folded = set()
        self._lines = None

    def find(self, wanted: str, after: int, *, backwards: bool = False) -> int | None:
        """Return the next line that contains a text, going round at the end."""
        lines, wanted = self.lines, wanted.casefold()
        if not wanted:
            return None
        step = -1 if backwards else 1
        for distance in range(1, len(lines) + 1):
            index = (after + step * distance) % len(lines)
            if wanted in f"{lines[index].key} {lines[index].text}".casefold():
                return index
        return None

    def _walk(self, value: Any, pointer: str, key: str, depth: int) -> Iterator[Line]:
        if isinstance(value, (dict, list)) and value:
            yield from self._container(value, pointer, key, depth)
        else:
            yield Line(depth, pointer, key, *_scalar(value))

    def _container(
        self, value: dict[str, Any] | list[Any], pointer: str, key: str, depth: int
    ) -> Iterator[Line]:
        opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
        if pointer in self.folded or depth > _DEEP:
            yield Line(depth, pointer, key, f"{opening} {len(value):,} {closing}", "folded")
            return
        yield Line(depth, pointer, key, opening, "open")
        shown = len(value) if pointer in self.complete else MOST_CHILDREN
        for number, (name, child) in enumerate(_children(value)):
            if number == shown:
                left = len(value) - shown
                yield Line(depth + 1, f"{pointer}/…", "", f"{left:,}", "more")
                break
            label = name if isinstance(value, dict) else ""
            yield from self._walk(child, f"{pointer}/{_escaped(name)}", label, depth + 1)
        yield Line(depth, pointer, "", closing, "close")


def value_at(value: Any, pointer: str) -> Any:
    """Return the part of a value that a pointer of a line names; None if there is none."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def pretty(value: Any) -> str:
    """Return JSON as people read it."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def compact(value: Any, limit: int = 400) -> str:
    """Return JSON on one line, cut to a number of characters."""
    if isinstance(value, str) and len(value) > limit:
        value = value[:limit]
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= limit else text[:limit] + "…"


def _children(value: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    else:
        yield from ((str(index), item) for index, item in enumerate(value))


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _scalar(value: Any) -> tuple[str, str]:
    if isinstance(value, str):
        return compact(value, 4_000), "string"
    if isinstance(value, bool) or value is None:
        return compact(value), "word"
    if isinstance(value, (int, float)):
        return compact(value), "number"
    return ("{}" if isinstance(value, dict) else "[]"), "empty"
