"""Events: filters to listen for, events to emit, and what becomes of their data."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flunq.core.converting import merging
from flunq.core.converting.expressions import enclose, literal
from flunq.core.converting.functions import failing
from flunq.core.converting.workspace import Entry, after

if TYPE_CHECKING:
    from flunq.core.converting.findings import Node
    from flunq.core.converting.workspace import Work

TIMEOUT = "https://serverlessworkflow.io/spec/1.0.0/errors/timeout"
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s{}]+")
_PATTERN_SIGNS = frozenset("*+?[](){}|^$\\")


def event_filter(event: Node, work: Work, *, starting: bool = False) -> dict[str, Any]:
    """Return the filter for a consumed event."""
    event.only("name", "source", "type", "kind", "correlation", "dataOnly", "metadata")
    wanted: dict[str, Any] = {}
    for name in ("type", "source"):
        if text := event.text(name):
            wanted[name] = _wanted(text, is_uri=name == "source")
    correlate: dict[str, Any] = {}
    for rule in event.objects("correlation"):
        attribute = rule.text("contextAttributeName")
        expected = rule.get("contextAttributeValue")
        if attribute and expected is not None:
            wanted[attribute] = work.rewriter.value(expected)
        elif attribute:
            correlate[attribute] = _correlation(attribute, work, starting=starting)
    found: dict[str, Any] = {"with": wanted or {"type": event.text("name") or "unknown"}}
    return {**found, "correlate": correlate} if correlate else found


def _correlation(attribute: str, work: Work, *, starting: bool) -> dict[str, str]:
    member = f"[{literal(attribute)}]" if not attribute.isidentifier() else attribute
    rule = {"from": enclose(f".{member}")}
    if not starting and attribute in work.started_with:
        rule["expect"] = enclose(f"$workflow.input[0].{member}")
    return rule


def _wanted(text: str, *, is_uri: bool) -> str:
    """Return what an attribute has to be: a pattern sign in it is meant as it stands."""
    if _PATTERN_SIGNS.isdisjoint(text) and (not is_uri or _URI.fullmatch(text)):
        return text
    return enclose(literal(text))


def emit(event: Node, data: Node | None, attributes: Node | None, work: Work) -> dict[str, Any]:
    """Return the task that emits an event and hands its input on."""
    members: dict[str, Any] = {"source": _source(event, work), "type": event.text("type")}
    if not members["type"]:
        event.problem("an event needs a type", "event-type")
        members["type"] = event.text("name")
    if data is not None:
        members["data"] = work.rewriter.value(data)
    if attributes is not None and attributes.expect(dict):
        members.update(work.rewriter.value(attributes))
    return {"emit": {"event": {"with": members}}, "output": {"as": enclose("$task.input")}}


def _source(event: Node, work: Work) -> str:
    source = event.text("source") or f"/workflows/{work.namespace}/{work.name}"
    return source if _URI.fullmatch(source) else enclose(literal(source))


def produced(entry: Node, work: Work) -> Entry | None:
    """Return the task for an item of ``produceEvents``."""
    entry.only("eventRef", "data", "contextAttributes")
    event = work.find("events", entry.get("eventRef"))
    if event is None:
        return None
    task = emit(event, entry.get("data"), entry.get("contextAttributes"), work)
    return {f"emit {event.text('name')}": task}


class Listening:
    """Waiting for some events: how the listen task is made and how its events are found again."""

    def __init__(self, references: list[Node], work: Work, *, starting: bool = False) -> None:
        found = (work.find("events", reference) for reference in references)
        self.events = [event for event in found if event is not None]
        self._work = work
        self._filters = [event_filter(event, work, starting=starting) for event in self.events]

    def strategy(self, *, every: bool) -> dict[str, Any]:
        """Return what to listen to: all of the events, or any."""
        if len(self._filters) == 1:
            return {"one": self._filters[0]}
        return {"all" if every else "any": self._filters}

    def task(self, *, every: bool = False) -> dict[str, Any]:
        """Return the listen task, whose raw output is an array of whole events."""
        if not self._filters:
            return failing("no event to wait for")
        return {"listen": {"to": self.strategy(every=every), "read": "envelope"}}

    def is_event(self, event: Node, found: str) -> str:
        """Return the condition that a consumed event is the one that a definition means."""
        parts = [f"{found}.type == {literal(event.text('type'))}"]
        if event.text("source"):
            parts.append(f"{found}.source == {literal(event.text('source'))}")
        return " and ".join(parts)

    def any_of(self, events: list[Node], found: str) -> str:
        """Return the condition that a consumed event is one of several."""
        if len(events) == 1:
            return self.is_event(events[0], found)
        return " or ".join(f"({self.is_event(event, found)})" for event in events) or "false"

    def steps(self, owner: Node, events: list[Node], *, every: bool = False) -> list[str]:
        """Return the filters that add the data of events to the state data, as an owner wants.

        They see ``$events``, which holds each of the events, or else only one of them.
        """
        wanted = owner.object("eventDataFilter")
        wanted.only("useData", "data", "toStateData")
        if not (events and wanted.flag("useData", default=True)):
            return []
        rewriter = self._work.rewriter
        data, to = rewriter.field(wanted.get("data")), rewriter.field(wanted.get("toStateData"))
        return [
            merging.step(self._payload(event, data, every=every), to)
            for event in (events if every else events[:1])
        ]

    def _payload(self, event: Node, data: str, *, every: bool) -> str:
        found = "$events[0]"
        if every and len(self.events) > 1:
            found = f"([$events[] | select({self.is_event(event, '')})][0])"
        if event.flag("dataOnly", default=True):
            found += ".data"
        return f"({found} | {data})" if data else found


def or_timeout(name: str, task: dict[str, Any], limit: str, otherwise: str) -> dict[str, Any]:
    """Return a task that goes on with ``otherwise`` when another takes too long."""
    return {
        "try": [{name: {**task, "timeout": after(limit)}}],
        "catch": {
            "errors": {"with": {"type": TIMEOUT}},
            "do": [{f"no {name}": {"set": enclose(otherwise)}}],
        },
    }
