"""Markers: the texts that stand for secrets wherever the engine decides and records.

A marker names a secret and a path into it, and carries a nonce that was drawn for the one
execution, so nothing that comes from outside can be mistaken for it. All of its characters are
unreserved in URIs and plain in JSON, so it survives being joined, encoded and expanded.

``~secret.NONCE.name.key~``
    the value at ``key`` of the secret ``name``
``~secret.NONCE..base64.TEXT~``
    what a transformation makes of a text (itself encoded in base64url) that has markers in it
"""

from __future__ import annotations

import binascii
import re
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OPENING = "~secret."
CLOSING = "~"
VARIABLE = "secrets."
"""Begins the name of the free variable that an expression with ``$secrets.name`` has."""
MIN_NONCE = 16
MAX_DEPTH = 8

_PLAIN = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_UNSAFE = re.compile(rb"[^A-Za-z0-9-]")
_ESCAPED = re.compile(r"_([0-9A-F]{2})")
_WHOLE = re.compile(r"~secret\.([0-9a-f]+)\.[A-Za-z0-9_.-]+~", re.ASCII)


class MarkerError(ValueError):
    """A text looks like a marker of this execution but cannot be read."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What an execution may ask for: its nonce and the secrets that its document declares."""

    nonce: str
    names: tuple[str, ...] = ()


def path_of(keys: list[str]) -> str:
    """Encode the path to a secret value: its name and the members below."""
    return ".".join(_escape(key) for key in keys)


def marker(nonce: str, path: str) -> str:
    """Return the marker of an encoded path."""
    return f"{OPENING}{nonce}.{path}{CLOSING}"


def name_in(path: str) -> str:
    """Return the secret's name from an encoded path."""
    return _unescape(path.partition(".")[0])


def unfold(by_variable: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object in which each variable's path leads to its value."""
    tree: dict[str, Any] = {}
    for variable, value in by_variable.items():
        *above, last = (_unescape(key) for key in variable.removeprefix(VARIABLE).split("."))
        place = tree
        for key in above:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise MarkerError("a secret and a member of it cannot be named in one expression")
        if last in place:
            raise MarkerError("a secret and a member of it cannot be named in one expression")
        place[last] = value
    return tree


def transformed(text: str, transformation: str) -> str | None:
    """Return the marker for what a transformation makes of a text; None without markers in it."""
    found = _WHOLE.search(text)
    if found is None:
        return None
    body = urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")
    return marker(found.group(1), f".{transformation}.{body}")


def is_marker(text: str) -> bool:
    """Tell whether a text is one marker and nothing else, of any execution."""
    return text.startswith(OPENING) and _WHOLE.fullmatch(text) is not None


def occurs(nonce: str, value: Any) -> bool:
    """Tell whether a marker of an execution is anywhere in a value, keys included."""
    if isinstance(value, str):
        return nonce in value
    if isinstance(value, dict):
        return any(occurs(nonce, key) or occurs(nonce, item) for key, item in value.items())
    return isinstance(value, list) and any(occurs(nonce, item) for item in value)


class Revealer:
    """Puts real values in place of the markers of one execution."""

    def __init__(self, nonce: str, look_up: Callable[[list[str]], Any]) -> None:
        if len(nonce) < MIN_NONCE:
            raise MarkerError("the nonce is too short")
        self._nonce = nonce
        self._look_up = look_up
        self._pattern = re.compile(rf"~secret\.{re.escape(nonce)}\.([A-Za-z0-9_.-]+)~", re.ASCII)
        self.revealed: dict[str, Any] = {}
        """Every value that was put in, by its marker."""

    def value(self, value: Any) -> Any:
        """Return a value with all markers in it replaced."""
        if isinstance(value, str):
            return self._text(value, 0) if self._nonce in value else value
        if isinstance(value, dict):
            return {as_text(self.value(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return value

    def _text(self, text: str, depth: int) -> Any:
        whole = self._pattern.fullmatch(text)
        if whole is not None:
            return self._one(whole, depth)
        return self._pattern.sub(lambda match: as_text(self._one(match, depth)), text)

    def _one(self, match: re.Match[str], depth: int) -> Any:
        text = match.group()
        if text not in self.revealed:
            body = match.group(1)
            found = self._made(body[1:], depth) if body.startswith(".") else self._found(body)
            self.revealed[text] = found
        return self.revealed[text]

    def _found(self, path: str) -> Any:
        return self._look_up([_unescape(key) for key in path.split(".")])

    def _made(self, body: str, depth: int) -> str:
        name, _, encoded = body.partition(".")
        transform = TRANSFORMATIONS.get(name)
        if transform is None or depth >= MAX_DEPTH:
            raise MarkerError(f"there is no transformation {name!r}")
        try:
            inner = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise MarkerError("the text of a transformation cannot be read") from error
        return transform(as_text(self._text(inner, depth + 1)))


def as_text(value: Any) -> str:
    """Return a value as it stands inside a text: texts as they are, all others as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _base64(text: str) -> str:
    return b64encode(text.encode("utf-8", "surrogatepass")).decode()


def _uri(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")


TRANSFORMATIONS: dict[str, Callable[[str], str]] = {
    "base64": _base64,
    "uri": _uri,
    "text": str,
}
"""What can be done to a secret by name."""


def _escape(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    raw = text.encode("utf-8", "surrogatepass")
    return _UNSAFE.sub(lambda match: b"_%02X" % match.group()[0], raw).decode() or "_"


def _unescape(text: str) -> str:
    if "_" not in text:
        return text
    if text == "_":
        return ""
    raw = _ESCAPED.sub(lambda match: chr(int(match.group(1), 16)), text)
    return raw.encode("latin-1").decode("utf-8", "surrogatepass")
