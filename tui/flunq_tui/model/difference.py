"""What is different between two JSON values, place by place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq_tui.model.folding import compact

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 2_000
"""Differences that are listed."""


class Difference(msgspec.Struct, frozen=True):
    """One place: ``sign`` is ``-`` (only before), ``+`` (only after) or ``~`` (changed)."""

    sign: str
    path: str
    before: Any = msgspec.UNSET
    after: Any = msgspec.UNSET

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield sign and text of the lines that tell it."""
        if self.before is not msgspec.UNSET:
            yield "-", f"{self.path or '.'}: {compact(self.before)}"
        if self.after is not msgspec.UNSET:
            yield "+", f"{self.path or '.'}: {compact(self.after)}"


def differences(before: Any, after: Any) -> list[Difference]:
    """Return the differences, in the order of the first value."""
    found: list[Difference] = []
    _compare(before, after, "", found)
    return found


def _compare(before: Any, after: Any, path: str, found: list[Difference]) -> None:
    if len(found) >= MOST or (type(before) is type(after) and before == after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        _compare_objects(before, after, path, found)
    elif isinstance(before, list) and isinstance(after, list):
        _compare_arrays(before, after, path, found)
    else:
        found.append(Difference("~", path, before, after))


def _compare_objects(
    before: dict[str, Any], after: dict[str, Any], path: str, found: list[Difference]
) -> None:
    for name in [*before, *(name for name in after if name not in before)]:
        if len(found) >= MOST:
            return
        place = f"{path}.{name}"
        if name not in after:
            found.append(Difference("-", place, before=before[name]))
        elif name not in before:
            found.append(Difference("+", place, after=after[name]))
        else:
            _compare(before[name], after[name], place, found)


def _compare_arrays(
    before: list[Any], after: list[Any], path: str, found: list[Difference]
) -> None:
    for index in range(max(len(before), len(after))):
        if len(found) >= MOST:
            return
        place = f"{path}[{index}]"
        if index >= len(after):
            found.append(Difference("-", place, before=before[index]))
        elif index >= len(before):
            found.append(Difference("+", place, after=after[index]))
        else:
            _compare(before[index], after[index], place, found)
