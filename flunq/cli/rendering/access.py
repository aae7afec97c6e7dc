"""Tokens and the audit, as rows, JSON and lines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flunq.cli.tables import Column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flunq.core.access import AuditEntry, IssuedToken, TokenView

TOKEN_COLUMNS = [
    Column("id", whole=True),
    Column("name"),
    Column("tenant"),
    Column("role"),
    Column("created", kind="time"),
    Column("expires", kind="time"),
    Column("state"),
]


def token_json(view: TokenView, now: float) -> dict[str, Any]:
    """Return what ``-o json`` shows of a token that was issued before."""
    return {
        "id": view.id,
        "name": view.name,
        "tenant": view.tenant,
        "role": view.role,
        "state": _state(view, now),
        "created": moment(view.created_at),
        "expires": moment(view.expires),
        "revoked": moment(view.revoked_at),
        "key": view.key,
        "created_by": view.created_by,
    }


def issued_json(issued: IssuedToken) -> dict[str, Any]:
    """Return what ``-o json`` shows of a token, this one time."""
    view = issued.view
    return {
        "token": issued.token,
        "id": view.id,
        "expires": moment(view.expires),
        "name": view.name,
        "tenant": view.tenant,
        "role": view.role,
    }


def entry_json(entry: AuditEntry) -> dict[str, Any]:
    """Return what ``-o json`` shows of an operation."""
    return {
        "time": moment(entry.time),
        "who": entry.who,
        "what": entry.what,
        "target": entry.target,
        "result": entry.result,
        "from": entry.source,
        "via": entry.via,
        "tenant": entry.tenant,
        "token": entry.token,
        "role": entry.role,
    }


def entry_line(item: Mapping[str, Any]) -> str:
    """Return an operation as one line."""
    parts = [item["time"], item["who"], item["what"], item["target"], item["result"]]
    origin = f"from {item['from']}" if item["from"] else ""
    return "  ".join(part for part in (*parts, origin) if part)


def moment(seconds: float | None) -> str | None:
    """Return a moment as text."""
    if seconds is None:
        return None
    found = datetime.fromtimestamp(seconds, UTC)
    spec = "seconds" if found.microsecond == 0 else "milliseconds"
    return found.isoformat(timespec=spec).replace("+00:00", "Z")


def _state(view: TokenView, now: float) -> str:
    if view.revoked_at is not None:
        return "revoked"
    return "expired" if view.expires is not None and view.expires <= now else "active"
