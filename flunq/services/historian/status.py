"""What is told about an archive: to people, and to whoever collects metrics."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from flunq.core.protocol import LakeView
from flunq.services.historian.ingest import age
from flunq.telemetry.metrics import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flunq.log.ports import Extent
    from flunq.store.lake import Manifest


def view_of(folder: Path, manifest: Manifest, extent: Extent) -> LakeView:
    """Describe a lake and the journal that it follows."""
    return LakeView(
        tenant=manifest.tenant,
        folder=str(folder),
        host=socket.gethostname(),
        pid=os.getpid(),
        state="",
        generation=manifest.generation,
        through=manifest.through,
        newest=extent.last,
        first=extent.first,
        behind=max(0, extent.last - manifest.through),
        behind_seconds=0.0,
        files=len(manifest.files),
        rows=sum(file.rows for file in manifest.files),
        bytes=sum(file.bytes for file in manifest.files),
        journal_bytes=extent.bytes,
        scrubbed=len(manifest.scrubbed),
        retired=len(manifest.retired),
    )


class Watched(Protocol):
    """A historian, as metrics see it."""

    problem: str

    @property
    def manifest(self) -> Manifest:
        """What the lake consists of."""
        ...

    @property
    def read(self) -> int:
        """The last journal sequence that was read."""
        ...

    def oldest(self) -> float | None:
        """Return the time of the oldest record in no file."""
        ...


@contextmanager
def shown(tenant: str, historian: Watched) -> Iterator[None]:
    """Let the process's metrics tell how the archive is while the context is open."""
    names: list[str] = []

    def gauge(name: str, text: str, read: Callable[[], float]) -> None:
        names.append(f"flunq_archive_{name}")
        registry.gauge(names[-1], text, tenant=tenant).read_from(read)

    def total(member: str) -> float:
        return float(sum(getattr(file, member) for file in historian.manifest.files))

    def behind() -> float:
        return max(0, historian.read - historian.manifest.through)

    gauge("through", "Journal sequence in the archive.", lambda: historian.manifest.through)
    gauge("files", "Files of the archive.", lambda: len(historian.manifest.files))
    gauge("bytes", "Bytes of the archive.", lambda: total("bytes"))
    gauge("rows", "Events in the archive.", lambda: total("rows"))
    gauge("behind", "Commits that were read and are in no file.", behind)
    gauge("behind_seconds", "Age of the oldest of them.", lambda: age(historian.oldest()))
    gauge("blocked", "1 while the archive cannot grow.", lambda: float(bool(historian.problem)))
    try:
        yield
    finally:
        for name in names:
            registry.remove(name, tenant=tenant)
