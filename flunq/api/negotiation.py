"""Media types: what a caller sends, and what it wants to get."""

from __future__ import annotations

from functools import lru_cache

from flunq.api.problems import MediaTypeError, NotAcceptableError


def media_type(header: str) -> str:
    """Return ``type/subtype`` of a Content-Type, in lower case."""
    return header.partition(";")[0].strip().lower()


def check_content_type(header: str | None, accepted: tuple[str, ...]) -> None:
    """Refuse a body that is not of an accepted type; without a header it is the first one."""
    if header is None or "*/*" in accepted:
        return
    given = media_type(header)
    if given not in accepted:
        raise MediaTypeError(f"a body of type {given!r} is not taken here", accepted=list(accepted))


@lru_cache(maxsize=256)
def preferred(header: str, offered: tuple[str, ...]) -> str:
    """Return which of the offered types a caller likes best; raises NotAcceptableError."""
    ranges = [parsed for part in header.split(",") if (parsed := _parse(part)) is not None]
    best, best_quality = "", 0.0
    for media in offered:
        quality = _quality(media, ranges)
        if quality > best_quality:
            best, best_quality = media, quality
    if not best:
        raise NotAcceptableError(
            "none of the accepted media types can be made here", offered=list(offered)
        )
    return best


def _parse(part: str) -> tuple[str, float] | None:
    name, *parameters = (piece.strip() for piece in part.split(";"))
    if "/" not in name:
        return None
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            try:
                quality = min(max(float(value), 0.0), 1.0)
            except ValueError:
                return None
    return name.lower(), quality


def _quality(media: str, ranges: list[tuple[str, float]]) -> float:
    """Return the quality that the most specific range gives a type."""
    kind = media.partition("/")[0]
    by_range = dict(ranges)
    for name in (media, f"{kind}/*", "*/*"):
        if name in by_range:
            return by_range[name]
    return 0.0
