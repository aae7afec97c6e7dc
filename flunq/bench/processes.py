"""What processes cost: CPU seconds, memory and bytes written, read from the system."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CLIENT = "client"
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of one process; zeros where the system does not tell."""

    cpu: float = 0.0
    resident: int = 0
    peak: int = 0
    written: int = 0


def read_usage(pids: Mapping[str, int]) -> dict[str, Usage]:
    """Read every named process, and this one as the client."""
    readings = {name: _read(pid) for name, pid in pids.items()}
    own = resource.getrusage(resource.RUSAGE_SELF)
    readings[CLIENT] = msgspec.structs.replace(_read(os.getpid()), cpu=own.ru_utime + own.ru_stime)
    return readings


def cpu_between(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> dict[str, float]:
    """Return the CPU seconds that each process spent between two readings."""
    return {
        name: round(after[name].cpu - usage.cpu, 3)
        for name, usage in before.items()
        if name in after
    }


def written_between(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> int:
    """Return the bytes that the processes had written to devices between two readings."""
    return sum(after[name].written - usage.written for name, usage in before.items())


def memory_of(readings: Mapping[str, Usage]) -> dict[str, int]:
    """Return the resident bytes of each process."""
    return {name: usage.resident for name, usage in readings.items()}


def memory_together(pids: Iterable[int]) -> int:
    """Return the bytes that processes have together: a page that several share counts once."""
    return 1024 * sum(_member(Path("/proc") / str(pid) / "smaps_rollup", "Pss:") for pid in pids)


def peak_of(readings: Mapping[str, Usage]) -> dict[str, int]:
    """Return the most memory that each process has had."""
    return {name: usage.peak for name, usage in readings.items()}


def _read(pid: int) -> Usage:
    folder = Path("/proc") / str(pid)
    try:
        after_name = (folder / "stat").read_text().rpartition(")")[2].split()
        resident = int((folder / "statm").read_text().split()[1]) * _PAGE
    except OSError:
        return Usage()
    return Usage(
        cpu=(int(after_name[11]) + int(after_name[12])) / _TICKS,
        resident=resident,
        peak=_member(folder / "status", "VmHWM:") * 1024,
        written=_member(folder / "io", "write_bytes:"),
    )


def _member(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)
