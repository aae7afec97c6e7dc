"""Lengths of time and sizes as people read them."""

from __future__ import annotations


def render_duration(seconds: float) -> str:
    """Render a length of time: ``12ms``, ``3.4s``, ``2m05s``, ``3h20m``, ``4d03h``, ``30d``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return _two_units(minutes, "m", rest, "s")
    hours, rest = divmod(minutes, 60)
    if hours < 24:
        return _two_units(hours, "h", rest, "m")
    days, rest = divmod(hours, 24)
    return _two_units(days, "d", rest, "h")


def _two_units(count: int, unit: str, rest: int, finer: str) -> str:
    return f"{count}{unit}{rest:02d}{finer}" if rest else f"{count}{unit}"


def render_bytes(count: int) -> str:
    """Render a size with the nearest binary unit."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def largest_unit(seconds: float) -> str:
    """Render a length of time in one unit, rounded down: ``29d``, ``5s``."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds)}s"


def to_come(seconds: float) -> str:
    """Render how long something is away: what is due in 29.9 days is due in 30."""
    for finer, length in ((3600, 86400), (60, 3600), (1, 60), (1, 1)):
        if seconds + finer / 2 >= length:
            return largest_unit(max(length, seconds + length / 2))
    return "0s"
