"""What is said of an alert: its CloudEvent, the body of a webhook, and the signature on it."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.alerts import FIRING, RESOLVED
from flunq.core.events import timestamp

if TYPE_CHECKING:
    from flunq.core.alerts import AlertRule, Notice

SIGNATURE = "flunq-signature"
_encode = msgspec.json.Encoder().encode


def event_of(tenant: str, rule: AlertRule, notice: Notice) -> dict[str, Any]:
    """Return the event that says so; the same notice is the same event."""
    return {
        "specversion": "1.0",
        "id": notice.id,
        "source": f"/flunq/{tenant}/alerts",
        "type": FIRING if notice.status == "firing" else RESOLVED,
        "subject": rule.name,
        "time": timestamp(notice.time),
        "tenant": tenant,
        "datacontenttype": "application/json",
        "data": _facts(rule, notice),
    }


def request_of(tenant: str, rule: AlertRule, notice: Notice) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a request to the webhook of a rule."""
    assert rule.webhook is not None
    event = event_of(tenant, rule, notice)
    kind = "application/json"
    if rule.webhook.format == "cloudevent":
        kind = "application/cloudevents+json"
    else:
        event = {"text": _text(tenant, rule, notice), "tenant": tenant, "id": notice.id}
        event |= _facts(rule, notice)
    given = {name.lower(): value for name, value in rule.webhook.headers.items()}
    headers = {
        "user-agent": "flunq",
        **given,
        "content-type": kind,
        "idempotency-key": notice.id,
    }
    return headers, _encode(event)


def signature(secret: str, body: bytes, now: int) -> str:
    """Return what proves that a body is ours and fresh; the moment is signed with it."""
    moment = now // 1_000_000
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, sha256).hexdigest()
    return f"t={moment},v1={digest}"


def _facts(rule: AlertRule, notice: Notice) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "rule": rule.name,
        "status": notice.status,
        "number": notice.number,
        "since": timestamp(notice.since),
    }
    if rule.description:
        facts["description"] = rule.description
    if rule.labels:
        facts["labels"] = rule.labels
    if notice.status == "firing":
        facts["rows" if rule.query else "event"] = notice.value
    return facts


def _text(tenant: str, rule: AlertRule, notice: Notice) -> str:
    about = f": {rule.description}" if rule.description else ""
    return f"[{notice.status}] {rule.name} ({tenant}){about}"
