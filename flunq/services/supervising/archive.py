"""How the archive of a cluster is, from the metrics of its control process."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

_SAMPLE = re.compile(
    r'^flunq_archive_(\w+)\{(?:[^}]*,)?tenant="([^"]*)"[^}]*\} (\S+)$', re.MULTILINE
)
_LATE_SECONDS = 120.0


class ArchiveState(msgspec.Struct, frozen=True, kw_only=True):
    """The archive of one tenant."""

    tenant: str
    state: str
    """``following``, ``behind`` or ``blocked``."""
    through: int
    behind: int
    """Commits that no file holds yet, as far as the historian has read."""
    behind_seconds: float
    files: int
    rows: int
    bytes: int


def parse_archives(exposition: str) -> list[ArchiveState]:
    """Read the archives out of a text of metrics."""
    found: dict[str, dict[str, float]] = {}
    for name, tenant, value in _SAMPLE.findall(exposition):
        found.setdefault(tenant, {})[name] = float(value)
    return [_state(tenant, samples) for tenant, samples in sorted(found.items())]


def _state(tenant: str, samples: dict[str, float]) -> ArchiveState:
    late = samples.get("behind_seconds", 0.0) > _LATE_SECONDS
    return ArchiveState(
        tenant=tenant,
        state="blocked" if samples.get("blocked") else "behind" if late else "following",
        through=int(samples.get("through", 0)),
        behind=int(samples.get("behind", 0)),
        behind_seconds=round(samples.get("behind_seconds", 0.0), 3),
        files=int(samples.get("files", 0)),
        rows=int(samples.get("rows", 0)),
        bytes=int(samples.get("bytes", 0)),
    )


def archive_line(states: Iterable[ArchiveState] | None) -> str:
    """Say in one line how the archives are; None is when nobody could be asked."""
    if states is None:
        return "not known: the API does not answer"
    parts = []
    for each in states:
        behind = f", {each.behind} commits to come" if each.behind else ""
        parts.append(f"{each.tenant}: {each.state}, {each.rows} events{behind}")
    return "; ".join(parts) or "no historian runs here"
