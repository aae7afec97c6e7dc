"""How many files and connections a process may have open."""

from __future__ import annotations

import resource

WANTED = 4096


def allowed() -> int:
    """Return how many a service of flunq may have open, which takes what it is given."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(_finite(soft), min(_finite(hard), WANTED))


def take_allowed() -> None:
    """Raise the limit of this process: shells give few, and each task may take several."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _finite(soft) < allowed():
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed(), hard))


def _finite(limit: int) -> int:
    return 1 << 30 if limit == resource.RLIM_INFINITY else limit
