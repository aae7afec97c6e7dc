"""What a backup consists of: parts with a checksum each, and a manifest that is written last."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from flunq.errors import RejectedError

FORMAT = 1
MANIFEST = "manifest.json"
RECORD = ".part.json"
"""Follows each part, so that a backup without a manifest can still be read as far as it goes."""

Kind: TypeAlias = Literal["stream", "file", "lake"]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a backup."""

    name: str
    """A stream's name, or a path in the data directory."""
    kind: Kind
    bytes: int
    sha256: str
    stream: dict[str, Any] | None = None
    """How a stream was configured, and which messages it held."""

    @property
    def path(self) -> str:
        """Where the part is in the backup."""
        return f"{self.kind}/{self.name}"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a complete backup holds."""

    format: int = FORMAT
    flunq: str
    created_at: float
    nodes: int
    """How many nats-servers the cluster had."""
    running: bool
    """Whether the cluster worked while the backup was taken."""
    parts: list[Part]

    @property
    def bytes(self) -> int:
        """The size of all parts."""
        return sum(part.bytes for part in self.parts)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A part that cannot be used."""

    part: str
    reason: str


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What reading a backup brought to light."""

    manifest: Manifest | None
    good: list[Part]
    problems: list[Problem]


class DamagedBackupError(RejectedError):
    """A backup is damaged or incomplete; ``details`` name each part."""

    code, title = "backup-damaged", "The backup is damaged"


def damaged(findings: Findings, where: str, *, hint: str) -> DamagedBackupError:
    """Say which parts cannot be used, all of them."""
    problems = findings.problems
    first = "; ".join(f"{each.part}: {each.reason}" for each in problems[:5])
    more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
    return DamagedBackupError(
        f"{where} cannot be used as a whole: {first}{more}",
        hint=hint,
        problems=[msgspec.to_builtins(each) for each in problems],
    )
