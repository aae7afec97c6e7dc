"""Alert rules: when somebody wants to hear of something, and what becomes of a rule in time.

A rule holds while its query returns rows, or while enough events of late have met its filter. It
fires once it has held for as long as it says, and is resolved once it holds no more.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from flunq.core.ids import token

FIRING = "io.flunq.alert.firing"
RESOLVED = "io.flunq.alert.resolved"
SECOND = 1_000_000
MOST_NOTICES = 50
"""So many notices of a rule are remembered."""
MOST_TRIES = 12
"""So often a webhook is tried: with growing pauses that is about an hour."""
LATEST = 3600 * SECOND
"""An event that is heard of later than this tells of the past, as those of a backup do."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is told, and how."""

    url: str
    format: Literal["cloudevent", "json"] = "cloudevent"
    headers: dict[str, str] = {}
    secret: str = ""
    """The name of the secret that requests are signed with."""


class AlertRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule; lengths of time are microseconds."""

    name: str
    description: str = ""
    labels: dict[str, str] = {}
    query: str = ""
    every: int = 60 * SECOND
    on: dict[str, str] = {}
    """Attributes that an event has to have; a rule has this or a query."""
    when: str = ""
    count: int = 1
    within: int = 300 * SECOND
    hold: int = msgspec.field(default=0, name="for")
    """How long it has to hold before it fires."""
    cooldown: int = 0
    """How long it is silent after it has fired, before it fires again."""
    webhook: Webhook | None = None


class Notice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """That a rule fires, or does so no more, and who was told."""

    rule: str
    number: int
    """Counts how often the rule has fired."""
    status: Literal["firing", "resolved"]
    time: int
    since: int
    value: Any = None
    """Rows of the query, or the newest event."""
    delivery: Literal["", "none", "delivered", "failed"] = ""
    """Empty while it is to be delivered; ``none`` without a webhook."""
    tries: int = 0
    problem: str = ""

    @property
    def id(self) -> str:
        """The id of its event: the same however often it is sent, and never used again."""
        return f"{self.rule}.{self.time}.{self.status}"


class AlertState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a rule beyond what it says."""

    pending: int | None = None
    """Since when it holds."""
    firing: int | None = None
    """Since when it fires."""
    fired: int = 0
    last: int = 0
    """When it fired last."""
    problem: str = ""
    """Why nobody knows whether it holds."""
    hits: list[int] = []
    """When the newest events happened that met its filter."""
    heard: dict[str, int] = {}
    """The place of the newest of them in the journal and on the bus."""
    value: Any = None
    """The newest of them."""
    outbox: list[Notice] = []
    """Notices that are on their way, oldest first."""
    log: list[Notice] = []
    """Notices that have arrived, or never will, oldest first."""


def judge(
    rule: AlertRule, state: AlertState, holds: bool, now: int, value: Any = None
) -> AlertState:
    """Return the state after it was seen whether a rule holds."""
    state = replace(state, problem="")
    if not holds:
        return _over(rule, state, now)
    since = now if state.pending is None else state.pending
    state = replace(state, pending=since)
    if state.firing is not None or now - since < rule.hold:
        return state
    if state.fired and now - state.last < rule.cooldown:
        return state
    state = replace(state, firing=now, fired=state.fired + 1, last=now)
    return _noticed(rule, state, "firing", now, value)


def _over(rule: AlertRule, state: AlertState, now: int) -> AlertState:
    if state.firing is None:
        return replace(state, pending=None)
    told = _noticed(rule, state, "resolved", now, None)
    return replace(told, pending=None, firing=None)


def _noticed(
    rule: AlertRule, state: AlertState, status: Literal["firing", "resolved"], now: int, value: Any
) -> AlertState:
    since = state.pending if state.pending is not None else now
    notice = Notice(
        rule=rule.name, number=state.fired, status=status, time=now, since=since, value=value
    )
    return replace(state, outbox=[*state.outbox, notice])


def hit(
    rule: AlertRule, state: AlertState, place: tuple[str, int], time: int, event: Any
) -> AlertState:
    """Note an event that met a rule's filter; one that was noted before changes nothing."""
    way, position = place
    if position <= state.heard.get(way, 0):
        return state
    hits = [*state.hits, time][-rule.count :]
    return replace(state, hits=hits, heard={**state.heard, way: position}, value=event)


def holds_by_hits(rule: AlertRule, state: AlertState, now: int) -> bool:
    """Tell whether there were enough events of late."""
    return len(state.hits) >= rule.count and state.hits[-rule.count] > now - rule.within


def judge_hit(rule: AlertRule, before: AlertState, state: AlertState, now: int) -> AlertState:
    """Return the state after an event was heard of, by when it happened.

    Whoever hears of it late, after a crash, tells of it all the same; one that was noted before
    is judged by the time that it is now.
    """
    is_news = state != before and now - state.hits[-1] <= LATEST
    moment = min(now, state.hits[-1]) if is_news else now
    return judge(rule, state, holds_by_hits(rule, state, moment), now, state.value)


def next_moment(rule: AlertRule, state: AlertState, now: int) -> int | None:
    """Return when a rule about events is to be judged again, if no event comes."""
    if state.pending is None:
        return None
    ends = state.hits[-rule.count] + rule.within if len(state.hits) >= rule.count else now
    if state.firing is not None:
        return ends
    ready = max(state.pending + rule.hold, state.last + rule.cooldown if state.fired else 0)
    return min(ends, ready) if ready > now else ends


def settled(state: AlertState, notice: Notice) -> AlertState:
    """Return the state after something became of the oldest notice on its way."""
    if notice.delivery == "":
        return replace(state, outbox=[notice, *state.outbox[1:]])
    log = [*state.log, notice][-MOST_NOTICES:]
    return replace(state, outbox=state.outbox[1:], log=log)


# --- how clients ask --------------------------------------------------------------------------


def alerts_subject(tenant: str) -> str:
    """Return where somebody answers about alerts."""
    return f"flunq.ask.{token(tenant)}.alerts"


def alerts_changed_subject(tenant: str) -> str:
    """Return where those that watch hear that rules have changed."""
    return f"flunq.node.alerts.{token(tenant)}"


class ListAlerts(msgspec.Struct, frozen=True, kw_only=True, tag="list-alerts"):
    """Ask for all rules and how they are."""


class ShowAlert(msgspec.Struct, frozen=True, kw_only=True, tag="show-alert"):
    """Ask for one rule."""

    name: str


class AlertHistory(msgspec.Struct, frozen=True, kw_only=True, tag="alert-history"):
    """Ask for the newest notices of one rule, or of all."""

    name: str = ""
    limit: int = MOST_NOTICES


class TryAlert(msgspec.Struct, frozen=True, kw_only=True, tag="test-alert"):
    """Ask whether a rule holds now; nobody is told."""

    rule: AlertRule


class ApplyAlerts(msgspec.Struct, frozen=True, kw_only=True, tag="apply-alerts"):
    """Keep these rules; those of the same names are replaced, their state stays."""

    rules: list[AlertRule]
    dry_run: bool = False

    @property
    def id(self) -> str:
        """What the audit calls it."""
        return ", ".join(rule.name for rule in self.rules)


class DeleteAlert(msgspec.Struct, frozen=True, kw_only=True, tag="delete-alert"):
    """Forget a rule and what is known of it."""

    name: str


AlertQuestion = ListAlerts | ShowAlert | AlertHistory | TryAlert | ApplyAlerts | DeleteAlert


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """A rule and how it is."""

    rule: AlertRule
    status: Literal["ok", "pending", "firing", "unknown"]
    since: int | None = None
    fired: int = 0
    last: int | None = None
    undelivered: int = 0
    problem: str = ""


class AlertTrial(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a test."""

    name: str
    holds: bool
    value: Any = None
    looked_at: int = 0
    """Events that were looked at."""


class AlertProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a rule that only the cluster can see."""

    name: str
    message: str
    hint: str | None = None


def view_of(rule: AlertRule, state: AlertState) -> AlertView:
    """Return a rule as people see it."""
    status: Literal["ok", "pending", "firing", "unknown"] = "ok"
    since = None
    if state.firing is not None:
        status, since = "firing", state.firing
    elif state.problem:
        status = "unknown"
    elif state.pending is not None:
        status, since = "pending", state.pending
    return AlertView(
        rule=rule,
        status=status,
        since=since,
        fired=state.fired,
        last=state.last or None,
        undelivered=len(state.outbox),
        problem=state.problem,
    )
