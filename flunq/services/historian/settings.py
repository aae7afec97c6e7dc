"""What a historian is started with."""

from __future__ import annotations

import msgspec

from flunq.store.lake import KEEP_RETIRED_SECONDS


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """When files are made. The journal's tail is read by queries, so there is no hurry."""

    flush_bytes: int = 12 << 20
    """So many bytes of journal make a file at once."""
    flush_seconds: float = 10.0
    """The oldest record waits no longer for a file."""
    little_bytes: int = 256 << 10
    """Less than this is little: it may wait for ``quiet_seconds``."""
    quiet_seconds: float = 60.0
    house_seconds: float = 5.0
    """How often it is looked for files to merge or delete, and for idle processes to end."""
    idle_seconds: float = 20.0
    """An idle writer process ends after this."""
    retry_seconds: float = 10.0
    """After a failure it is tried again at the latest after this."""


class HistorianSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One historian of one tenant."""

    tenant: str = "default"
    data_dir: str
    pace: Pace = Pace()
    keep_retired: float = KEEP_RETIRED_SECONDS
    renew_seconds: float = 10.0
