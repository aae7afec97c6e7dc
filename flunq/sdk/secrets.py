"""Where executors get secrets from: resolved where the effect happens, never in an event."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from flunq.errors import UsageError
from flunq.sdk.executor import TaskError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PREFIX = "FLUNQ_SECRET_"
_NOT_ENVIRONMENT = re.compile(r"[^A-Za-z0-9]")


class Secrets(Protocol):
    """Resolves the names of ``use.secrets``."""

    def resolve(self, name: str) -> Any:
        """Return a secret's value; raises an ``authorization`` TaskError for unknown names."""
        ...


class MappingSecrets:
    """Secrets held in a mapping."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __repr__(self) -> str:
        return f"MappingSecrets({len(self._values)} secrets)"

    def resolve(self, name: str) -> Any:
        """Return a secret's value."""
        if name not in self._values:
            raise unknown_secret(name)
        return self._values[name]


class EnvironmentSecrets:
    """Secrets in variables: ``my-key`` is ``FLUNQ_SECRET_MY_KEY``, as JSON or plain text."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment

    def resolve(self, name: str) -> Any:
        """Return a secret's value."""
        text = self._environment.get(PREFIX + _NOT_ENVIRONMENT.sub("_", name).upper())
        if text is None:
            raise unknown_secret(name)
        return _json_or_text(text)


def read_secrets(path: Path) -> MappingSecrets:
    """Read a file that maps names to values, in JSON or (by its name) YAML."""
    decode = msgspec.yaml.decode if path.suffix in (".yaml", ".yml") else msgspec.json.decode
    try:
        return MappingSecrets(decode(path.read_bytes(), type=dict[str, Any]))
    except OSError as error:
        raise UsageError(f"cannot read the secrets file {path}: {error.strerror}") from error
    except msgspec.DecodeError:
        # The reason may quote a secret, so it is not repeated.
        raise UsageError(f"{path} is not a mapping of secret names to values") from None


def unknown_secret(name: str) -> TaskError:
    """Return the error for a secret that does not exist or may not be used."""
    return TaskError("authorization", 403, detail=f"unknown secret {name!r}")


def _json_or_text(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
