"""What a check is and how all of them are run: one that breaks is a finding, not the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

Outcome = Literal["ok", "warn", "fail"]


class Check(msgspec.Struct, kw_only=True, frozen=True):
    """What one check found."""

    name: str
    status: Outcome
    value: str
    """What was measured."""
    remedy: str | None = None


Checker = Callable[[], Awaitable[Check | list[Check]]]


async def run_checks(checkers: Iterable[tuple[str, Checker]]) -> list[Check]:
    """Run checks one after the other, so that measurements do not disturb each other."""
    found: list[Check] = []
    for name, checker in checkers:
        try:
            result = await checker()
        except Exception as error:  # noqa: BLE001 - a broken check must not hide the others
            remedy = "this check itself failed; the others hold"
            result = Check(
                name=name, status="fail", value=f"{type(error).__name__}: {error}", remedy=remedy
            )
        found += result if isinstance(result, list) else [result]
    return found


def ok(name: str, value: str) -> Check:
    """All is well."""
    return Check(name=name, status="ok", value=value)


def warn(name: str, value: str, remedy: str) -> Check:
    """It works, but not as well as it should."""
    return Check(name=name, status="warn", value=value, remedy=remedy)


def fail(name: str, value: str, remedy: str) -> Check:
    """It does not work, or would not."""
    return Check(name=name, status="fail", value=value, remedy=remedy)
