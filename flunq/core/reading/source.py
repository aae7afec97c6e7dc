"""Text to plain values, with the line and column of every value and key.

``read_source`` is the only door: it decodes, decides between JSON and YAML 1.2 and hands back a
:class:`Source`. Everything that a text can do to its reader (bombs, cycles, endless nesting, wrong
encodings, duplicate keys) ends as a :class:`Problem`.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import Any, NoReturn, TypeAlias

import msgspec

from flunq.core.reading.limits import MAX_BYTES
from flunq.core.reading.pointers import split
from flunq.core.reading.problems import InvalidDocument, Problem

Spot: TypeAlias = tuple[int, int, Any]
"""Line, column and: a dict of (line, column, spot) by key, a list of spots, or a scalar's text."""

_UNREADABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile(r"\r\n|[\n\r]")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A text that has been read: the plain value and where each part of it stands."""

    name: str
    content: str
    value: Any
    spots: Spot

    def position(self, pointer: str, *, key: bool = False) -> tuple[int, int]:
        """Return line and column of a value, or of its key; of the nearest parent if it is absent.

        ``key=True`` falls back to the value itself where there is no key (items, the root).
        """
        line, column, children = self.spots
        key_place = None
        for token in split(pointer):
            found = _step(children, token)
            if found is None:
                break
            key_place, (line, column, children) = found
        return key_place if key and key_place is not None else (line, column)

    def scalar_text(self, pointer: str) -> str | None:
        """Return a number, boolean or null as it is written in the text."""
        children: Any = self.spots[2]
        for token in split(pointer):
            found = _step(children, token)
            if found is None:
                return None
            children = found[1][2]
        return children if isinstance(children, str) else None

    def text_position(self, pointer: str, offset: int) -> tuple[int, int]:
        """Return the place of a character of a text value.

        Falls back to the place of the value where escapes or folding hide the character.
        """
        line, column = self.position(pointer)
        text = self._value_at(pointer)
        lines = _lines(self.content)[line - 1 :]
        if not isinstance(text, str) or not lines:
            return line, column
        written = lines[0][column - 1 :]
        if written.startswith("|"):
            return _in_block(lines[1:], text, offset, line) or (line, column)
        quote = 1 if written[:1] in ("'", '"') else 0
        if written.startswith(text, quote):
            return line, column + quote + offset
        return line, column

    def _value_at(self, pointer: str) -> Any:
        value = self.value
        for token in split(pointer):
            value = value[int(token)] if isinstance(value, list) else value[token]
        return value

    def problem(
        self, pointer: str, message: str, rule: str, *, hint: str | None = None, key: bool = False
    ) -> Problem:
        """Return a problem at the place of ``pointer``."""
        line, column = self.position(pointer, key=key)
        return Problem(
            path=pointer, line=line, column=column, message=message, rule=rule, hint=hint
        )


def read_source(text: str | bytes, *, name: str) -> Source:
    """Read YAML 1.2 or JSON.

    Raises :class:`InvalidDocument` when the text is not one well-formed, bounded document.
    """
    content = decode(text, name, MAX_BYTES)
    _refuse_unreadable(content, name)
    if is_json(content, name):
        from flunq.core.reading.json_source import read_json

        value, spots = read_json(content, name)
    else:
        # PyYAML costs 20 ms to import, which a JSON input need not pay.
        from flunq.core.reading.yaml_source import read_yaml

        value, spots = read_yaml(content, name)
    return Source(name=name, content=content, value=value, spots=spots)


@lru_cache(maxsize=1)
def _lines(content: str) -> list[str]:
    return content.splitlines()


def _step(children: Any, token: str) -> tuple[tuple[int, int] | None, Spot] | None:
    if isinstance(children, dict):
        entry = children.get(token)
        return None if entry is None else ((entry[0], entry[1]), entry[2])
    if isinstance(children, list) and token.isdecimal() and int(token) < len(children):
        return None, children[int(token)]
    return None


def _in_block(lines: list[str], text: str, offset: int, line: int) -> tuple[int, int] | None:
    """Return the place of a character of a literal block whose indicator stands on ``line``."""
    rows = text[:offset].split("\n")
    wanted = text.split("\n")[len(rows) - 1]
    if len(rows) > len(lines) or not lines[len(rows) - 1].endswith(wanted):
        return None
    indent = len(lines[len(rows) - 1]) - len(wanted)
    return line + len(rows), indent + len(rows[-1]) + 1


def decode(text: str | bytes, name: str, limit: int) -> str:
    """Return the text of UTF-8, or UTF-16 with a byte order mark, without that mark."""
    if len(text) > limit:
        _refuse(name, "", 0, f"the text is larger than {limit >> 20} MiB", "too-large")
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    encoding = _encoding(text, name)
    try:
        return text.decode(encoding)
    except UnicodeDecodeError as error:
        before = text[: error.start].decode(encoding, errors="replace")
        _refuse(
            name,
            before,
            len(before),
            f"the text is not {encoding.removesuffix('-sig').upper()}",
            "encoding",
            "save the file as UTF-8",
        )


def _encoding(data: bytes, name: str) -> str:
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        _refuse(name, "", 0, "the text is UTF-32", "encoding", "save the file as UTF-8")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig"


def _refuse_unreadable(content: str, name: str) -> None:
    bad = _UNREADABLE.search(content)
    if bad is None:
        return
    character = f"U+{ord(bad.group()):04X}"
    message = f"the character {character} is not allowed here"
    hint = "write it as an escape in double quotes, or remove it"
    _refuse(name, content, bad.start(), message, "unreadable-character", hint)


def is_json(content: str, name: str) -> bool:
    """Tell whether a text is JSON, or at least called so."""
    if name.endswith(".json"):
        return True
    if not content.lstrip().startswith(("{", "[")):
        return False
    try:
        msgspec.json.decode(content, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False  # YAML in flow style begins with a brace too
    return True


def _refuse(
    name: str, content: str, offset: int, message: str, rule: str, hint: str | None = None
) -> NoReturn:
    line, column = place(content, offset)
    problem = Problem(path="", line=line, column=column, message=message, rule=rule, hint=hint)
    raise InvalidDocument([problem], name=name)


def place(content: str, offset: int) -> tuple[int, int]:
    """Return line and column, from 1, of an offset into ``content``."""
    line, start = 1, 0
    for found in _LINE_BREAK.finditer(content, 0, offset):
        line, start = line + 1, found.end()
    return line, offset - start + 1
