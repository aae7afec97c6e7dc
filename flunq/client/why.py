"""Why an execution is where it is: asks the cluster for everything that may tell."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from flunq.client.asking import asked_of
from flunq.client.reasons import Cause, Facts, LastError, Why, reasons
from flunq.client.story import read_story
from flunq.core.execution.state import CHILD
from flunq.errors import FlunqError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from flunq.client.client import Client
    from flunq.core.document.model import Workflow
    from flunq.core.protocol import DefinitionText, Details
    from flunq.core.reading.source import Source

EVENTS = 200
"""So many of the newest events are held against the filters of a listener."""
MOST_CHILDREN = 10

__all__ = ["Cause", "LastError", "Why", "explain"]


async def explain(client: Client, id: str) -> Why:
    """Return why an execution is where it is, and what to type; raises NotFoundError."""
    details = await client.get(id)
    story = await read_story(client.history(id))
    facts = Facts(details=details, story=story)
    definition = await _definition(client, details)
    if definition is not None:
        facts.line_of = partial(_line, _source(definition))
    if details.ended_at is None:
        facts.children = await _children(client, details)
    # A cluster without a control process has nobody who could say more.
    with suppress(UnavailableError):
        if details.ended_at is None:
            await _look_around(client, facts, definition)
            if any(item.get("for") == "task" for item in details.waiting):
                facts.held = {each.task: each for each in await client.flow.held(id)}
        facts.letters = await client.dead_letters.list(execution=id)
    return reasons(facts)


async def _definition(client: Client, details: Details) -> DefinitionText | None:
    name = f"{details.namespace}/{details.workflow}:{details.version}"
    try:
        found = await client.workflow(name)
    except NotFoundError:
        return None
    return found if found.definition.digest == details.digest else None


def _source(definition: DefinitionText) -> Source | None:
    from flunq.core.reading import InvalidDocument, read_source

    try:
        return read_source(definition.text, name="definition")
    except InvalidDocument:
        return None


def _line(source: Source | None, pointer: str) -> int | None:
    if source is None or not pointer:
        return None
    try:
        return source.position(pointer, key=True)[0]
    except (KeyError, LookupError, ValueError):
        return None


async def _look_around(client: Client, facts: Facts, definition: DefinitionText | None) -> None:
    """Find out who is alive, and which events nearly met a listener."""
    listens = any(item.get("for") == "event" for item in facts.details.waiting)
    workflow = compiled(definition) if listens else None
    if workflow is not None:
        facts.asked = _asked(facts.details, workflow)
        _hear(facts, workflow, [])
    around = await client.dead_letters.look_around(EVENTS if listens else 0)
    facts.nodes = around.nodes
    if workflow is not None:
        _hear(facts, workflow, around.events)


def _asked(details: Details, workflow: Workflow) -> dict[str, dict[str, Any]]:
    """Return what listeners ask of a person."""
    tasks = {str(item.get("listener")): str(item.get("task")) for item in details.waiting}
    asked = {name: asked_of(workflow.value, task) for name, task in tasks.items()}
    return {name: members for name, members in asked.items() if members is not None}


def compiled(definition: DefinitionText | None) -> Workflow | None:
    """Return a definition as the engine runs it; None if that cannot be told here."""
    from flunq.core.document.compiler import compile_workflow

    if definition is None:
        return None
    try:
        return compile_workflow(definition.document, definition.definition.digest)
    except (FlunqError, LookupError, ValueError):
        return None  # what was registered with it is not at hand here


def _hear(facts: Facts, workflow: Workflow, events: list[dict[str, Any]]) -> None:
    from flunq.core.execution.near import filters_of, near_misses

    state = facts.story.state
    if state is None:
        return
    now = time.time_ns() // 1_000
    for listener, step in state.listeners.items():
        facts.filters[listener] = filters_of(state, workflow, step, now)
        facts.near[listener] = near_misses(state, workflow, step, events, now)


async def _children(client: Client, details: Details) -> dict[str, Details]:
    ids = [str(item.get("id")) for item in details.waiting if item.get("kind") == CHILD]
    found: dict[str, Details] = {}
    for child in ids[:MOST_CHILDREN]:
        try:
            found[child] = await client.get(child)
        except NotFoundError:
            continue  # it is about to be started
    return found
