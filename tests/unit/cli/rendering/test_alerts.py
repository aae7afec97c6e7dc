"""Alert rules as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flunq.cli import session
from flunq.cli.rendering.alerts import alert_lines
from flunq.cli.session import ColorMode, TimeFormat
from flunq.core.alerts import SECOND, AlertRule, AlertView, Webhook

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _plain() -> Iterator[None]:
    session.begin()
    session.update(time=TimeFormat.ISO, color=ColorMode.NEVER)
    yield
    session.begin()


def lines(*, view: dict[str, Any] | None = None, **rule: Any) -> list[str]:
    shown = AlertView(rule=AlertRule(name="late", **rule), **{"status": "ok", **(view or {})})
    return [" ".join(line.split()) for line in alert_lines(shown)]


def test_a_query_is_shown_as_it_was_written() -> None:
    shown = AlertView(
        rule=AlertRule(
            name="late", query="select 1\n  from x\n", every=30 * SECOND, cooldown=SECOND
        ),
        status="firing",
        since=0,
        fired=2,
    )
    found = list(alert_lines(shown))
    assert found[-3:] == ["query", "  select 1", "    from x"]
    assert "status  firing since 1970-01-01T00:00:00.000Z" in found
    assert "looks   every 30.0s" in found
    assert "silent  1.0s after it has fired" in found
    assert "tells   nobody" in found


def test_a_rule_about_events_says_what_it_wants_and_whom_it_tells() -> None:
    webhook = Webhook(url="https://chat/x", format="json", secret="k", headers={"x-token": "t0p"})
    found = lines(
        on={"type": "task.faulted"}, when=".data > 5", count=5, within=60 * SECOND, webhook=webhook
    )
    assert "events type=task.faulted" in found
    assert "when .data > 5" in found
    assert "fires when 5 events meet it within 1m" in found
    assert (
        "tells https://chat/x (json, signed with the secret k, with the headers x-token)" in found
    )


def test_what_a_rule_does_not_say_has_no_line() -> None:
    names = [line.split()[0] for line in lines(on={"type": "x"})]
    assert names == ["alert", "status", "fired", "looks", "events", "fires", "tells"]


def test_what_is_wrong_and_what_was_not_delivered_is_shown_harmlessly() -> None:
    found = lines(query="select 1", view={"problem": "no\x1b[2J table", "undelivered": 3})
    assert "problem no\\e[2J table" in found
    assert "undelivered 3" in found
