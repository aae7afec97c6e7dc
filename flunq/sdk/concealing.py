"""Keeping secrets out of what a call leaves behind: its output, its failure, its log lines."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import msgspec

from flunq.core.markers import Grant, MarkerError, Revealer, marker, path_of
from flunq.sdk.executor import TaskError
from flunq.sdk.secrets import unknown_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flunq.sdk.secrets import Secrets

MASK = "***"
SHORTEST = 4
"""Shorter texts than this are not looked for: they are everywhere."""
_BASE64 = re.compile(r"[A-Za-z0-9+/]{8,}={0,2}", re.ASCII)
_PUBLIC_WORDS = """
    username authority grant scopes audiences issuers encoding type authentication id
    endpoints request
"""
PUBLIC = frozenset(_PUBLIC_WORDS.split())
"""Members of an authentication policy that are no secrets, though they stand in one."""


class Concealer:
    """Replaces texts wherever they occur, also as URIs, JSON and base64 write them."""

    def __init__(self) -> None:
        self._replacements: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None

    def __bool__(self) -> bool:
        return bool(self._replacements)

    def add(self, text: str, replacement: str = MASK) -> None:
        """Conceal a text from now on."""
        if len(text) < SHORTEST:
            return
        for form in _forms(text):
            self._replacements.setdefault(form, replacement)
        self._pattern = None

    def text(self, text: str) -> str:
        """Return a text with everything concealed."""
        if not self._replacements:
            return text
        if self._pattern is None:
            forms = sorted(self._replacements, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, forms)))
        return self._pattern.sub(lambda match: self._replacements[match.group()], text)

    def value(self, value: Any) -> Any:
        """Return a JSON value with everything concealed, the names of members too."""
        if isinstance(value, str):
            return self._encoded(self.text(value))
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return value

    def _encoded(self, text: str) -> str:
        """Look into a text that is base64 as a whole, as bodies are that are no text."""
        if len(text) % 4 or not _BASE64.fullmatch(text):
            return text
        try:
            inner = b64decode(text).decode("utf-8", "surrogateescape")
        except (binascii.Error, ValueError):
            return text
        clean = self.text(inner)
        if clean == inner:
            return text
        return b64encode(clean.encode("utf-8", "surrogateescape")).decode()


class CallSecrets:
    """The secrets of one call: whatever it was given is concealed in what it leaves behind."""

    __slots__ = ("_concealer", "_grant", "_secrets", "_tell")

    def __init__(
        self,
        secrets: Secrets,
        grant: Grant | None = None,
        *,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._secrets = secrets
        self._grant = grant
        self._tell = tell
        self._concealer: Concealer | None = None

    @property
    def conceals(self) -> bool:
        """Whether there is anything to conceal; most calls have nothing."""
        return self._concealer is not None

    @property
    def concealer(self) -> Concealer:
        """Conceals what the call was given."""
        if self._concealer is None:
            self._concealer = Concealer()
        return self._concealer

    def resolve(self, name: str) -> Any:
        """Return a secret's value."""
        value = self._secrets.resolve(name)
        self._note_all(value, [name])
        self._note_basic(value)
        return value

    def reveal(self, arguments: Any) -> Any:
        """Return arguments with the secrets in place of their markers."""
        if self._grant is None:
            return arguments
        revealer = Revealer(self._grant.nonce, self._look_up)
        try:
            revealed = revealer.value(arguments)
        except MarkerError as error:
            raise TaskError("authorization", 403, detail=str(error)) from error
        for text, value in revealer.revealed.items():
            if isinstance(value, str):
                self.conceal(value, text)
        return revealed

    def conceal(self, text: str, replacement: str = MASK) -> None:
        """Keep a text out of output, failure and log: a token that was obtained, for one."""
        self.concealer.add(text, replacement)
        if self._tell is not None:
            self._tell(text)

    def _look_up(self, keys: list[str]) -> Any:
        name, *below = keys
        if self._grant is None or name not in self._grant.names:
            raise unknown_secret(name)
        value = self._secrets.resolve(name)
        for key in below:
            if not isinstance(value, dict) or key not in value:
                detail = f"the secret {name!r} has no member {key!r}"
                raise TaskError("authorization", 403, detail=detail)
            value = value[key]
        self._note_all(value, keys)
        return value

    def _note_all(self, value: Any, keys: list[str]) -> None:
        for path, text in _texts(value, keys):
            self.conceal(text, self._replacement(path))

    def _replacement(self, path: list[str]) -> str:
        if self._grant is None or path[0] not in self._grant.names:
            return MASK
        return marker(self._grant.nonce, path_of(path))

    def _note_basic(self, value: Any) -> None:
        """Conceal what a name and a password become in a header."""
        members = value.get("basic", value) if isinstance(value, dict) else {}
        name, password = members.get("username"), members.get("password")
        if isinstance(name, str) and isinstance(password, str):
            self.conceal(b64encode(f"{name}:{password}".encode()).decode())


def _texts(value: Any, path: list[str]) -> Iterator[tuple[list[str], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in PUBLIC:
                yield from _texts(item, [*path, str(key)])
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, path)


def _forms(text: str) -> Iterable[str]:
    """Return a text as it may be written: plainly, in a URI, in JSON."""
    escaped = msgspec.json.encode(text.encode("utf-8", "replace").decode()).decode()[1:-1]
    percent = quote(text, safe="", errors="replace")
    ascii_only = text.encode("ascii", "backslashreplace").decode()
    return {text, escaped, percent, quote_plus(text, errors="replace"), ascii_only}
