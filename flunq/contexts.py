"""Contexts: the clusters a user talks to, one TOML file each, readable by that user only.

They live in ``contexts/`` of the configuration folder (``FLUNQ_CONFIG_DIR`` overrides it); the
files ``current`` and ``previous`` beside it name the selected context and the one before.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from flunq.errors import NotFoundError, RejectedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_SECRETS = ("token", "password")


class Context(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach one cluster."""

    name: str
    nats_url: str | None = None
    api_url: str | None = None
    token: str | None = None
    user: str | None = None
    password: str | None = None
    tenant: str | None = None
    data_dir: str | None = None
    follows: str | None = None
    """Data folder of the local cluster whose addresses it keeps up with."""
    ca: str | None = None
    """File with the authority's certificate that servers are checked against."""
    production: bool = False
    """Marked in red, so that nobody mistakes it for a toy."""

    def redacted(self) -> dict[str, object]:
        """Return the members with secrets masked, fit to be shown."""
        members: dict[str, object] = msgspec.structs.asdict(self)
        return {k: "***" if v and k in _SECRETS else v for k, v in members.items()}


def config_home(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of the user's configuration."""
    override = (os.environ if environ is None else environ).get("FLUNQ_CONFIG_DIR")
    if override:
        return Path(override)
    import platformdirs

    return Path(platformdirs.user_config_dir("flunq", appauthor=False))


class ContextStore:
    """The contexts on disk."""

    def __init__(
        self, home: Path | None = None, *, environ: Mapping[str, str] | None = None
    ) -> None:
        self._home = home or config_home(environ)

    def all(self) -> list[Context]:
        """Return every context, sorted by name."""
        return [self._read(path) for path in sorted(self._folder.glob("*.toml"))]

    def get(self, name: str) -> Context:
        """Return one context."""
        path = self._path(name)
        if not path.is_file():
            raise self._not_found(name)
        return self._read(path)

    def save(self, context: Context) -> None:
        """Write a context, new or changed."""
        self._write(self._path(context.name), self.render(context))

    def save_cluster(self, context: Context) -> None:
        """Write the context of a local cluster; those of its tenants get its addresses too."""
        self.save(context)
        moved = {name: getattr(context, name) for name in ("nats_url", "api_url", "ca")}
        for each in self.all():
            if each.follows is not None and each.follows == context.data_dir:
                self.save(msgspec.structs.replace(each, **moved))

    def render(self, context: Context) -> str:
        """Return the TOML text of a context."""
        members = msgspec.structs.asdict(context)
        del members["name"]
        return "".join(_toml_lines(members))

    def parse(self, name: str, content: str) -> Context:
        """Read the TOML text of a context."""
        where = str(self._path(name))
        try:
            members = tomllib.loads(content)
        except tomllib.TOMLDecodeError as error:
            raise RejectedError(f"{error}", where=where) from None
        try:
            return msgspec.convert({"name": name, **members}, Context)
        except msgspec.ValidationError as error:
            raise RejectedError(str(error), hint=_unknown(members), where=where) from None

    def delete(self, name: str) -> None:
        """Remove a context; if it was selected, none is."""
        if not self._path(name).is_file():
            raise self._not_found(name)
        self._path(name).unlink()
        for mark in ("current", "previous"):
            if self._marked(mark) == name:
                (self._home / mark).unlink()

    def selected(self) -> Context | None:
        """Return the selected context; a selection whose file is gone counts as none."""
        name = self._marked("current")
        return self.get(name) if name and self._path(name).is_file() else None

    def select(self, name: str) -> Context:
        """Select a context; ``-`` is the one before."""
        if name == "-":
            name = self._marked("previous") or ""
            if not name:
                raise UsageError("there is no previous context", hint="flunq context list")
        context = self.get(name)
        before = self._marked("current")
        if before and before != name:
            self._write(self._home / "previous", before)
        self._write(self._home / "current", name)
        return context

    @property
    def _folder(self) -> Path:
        return self._home / "contexts"

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or name in (".", ".."):
            raise UsageError(
                f"{name!r} cannot name a context",
                hint="use letters, digits, dots, dashes and underscores",
            )
        return self._folder / f"{name}.toml"

    def _read(self, path: Path) -> Context:
        try:
            return self.parse(path.stem, path.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise RejectedError(f"not UTF-8: {error.reason}", where=str(path)) from None

    def _marked(self, mark: str) -> str | None:
        path = self._home / mark
        return path.read_text(encoding="utf-8").strip() if path.is_file() else None

    def _write(self, path: Path, content: str) -> None:
        """Replace a file at once and with mode 0600, so that no half and no open one is seen."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        except OSError as error:
            raise UsageError(
                f"cannot write to the configuration folder: {error.strerror}",
                hint="name another one with FLUNQ_CONFIG_DIR",
                where=str(path.parent),
            ) from error
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
        Path(temporary).replace(path)

    def _not_found(self, name: str) -> NotFoundError:
        known = [path.stem for path in self._folder.glob("*.toml")]
        match = get_close_matches(name, known, n=1)
        hint = f"did you mean {match[0]}?" if match else "flunq context list"
        return NotFoundError(f"there is no context {name!r}", hint=hint)


def _toml_lines(members: Mapping[str, object]) -> Iterator[str]:
    for key, value in members.items():
        if isinstance(value, bool):
            yield f"{key} = {str(value).lower()}\n"
        elif value is not None:
            # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
            text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
            yield f"{key} = {text}\n"


def _unknown(members: Mapping[str, object]) -> str | None:
    known = Context.__struct_fields__
    for key in members:
        if key not in known:
            match = get_close_matches(key, known, n=1)
            return f"did you mean {match[0]} for {key}?" if match else f"known: {', '.join(known)}"
    return None
