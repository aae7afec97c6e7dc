"""Which files a query reads: those of a manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from flunq.store.lake import read_manifest
from flunq.store.query_job import Gap, Gone, Sources

if TYPE_CHECKING:
    from pathlib import Path

    from flunq.store.lake import Manifest


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a query that asks no cluster."""

    sources: Sources
    created_at: int
    """When the newest manifest was written, microseconds since the epoch."""


def archive(folder: Path, tenant: str) -> Archive | None:
    """Return what the files on this machine hold; None where there is no archive."""
    manifest = read_manifest(folder)
    if manifest is None:
        return None
    return Archive(sources=sources_of(tenant, folder, manifest), created_at=manifest.created_at)


def sources_of(tenant: str, folder: Path, manifest: Manifest | None, *, first: int = 0) -> Sources:
    """Return the files of a manifest as a query's sources; the journal begins at ``first``."""
    if manifest is None:
        return Sources(tenant=tenant, gap=_gap(0, first))
    return Sources(
        tenant=tenant,
        files=[str(folder / each.path) for each in manifest.files],
        through=manifest.through,
        gap=_gap(manifest.through, first),
        gone=[Gone(execution=each.execution, upto=each.upto) for each in manifest.scrubbed],
    )


def _gap(through: int, first: int) -> Gap | None:
    """Return what is neither in the files nor in the journal any more."""
    return Gap(first=through + 1, last=first - 1) if first > through + 1 else None
