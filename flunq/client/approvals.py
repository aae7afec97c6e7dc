"""What waits for a person: listeners whose task says so in ``metadata.approval``."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from flunq.client.asking import asked_of, asks_anybody, task_at
from flunq.client.story import read_story
from flunq.client.why import compiled
from flunq.core.execution.near import near_misses
from flunq.errors import ConflictError, NotFoundError, RejectedError

if TYPE_CHECKING:
    from flunq.client.client import Client
    from flunq.core.access import ApprovalLink
    from flunq.core.document.model import Workflow
    from flunq.core.execution.near import NearMiss
    from flunq.core.execution.state import State
    from flunq.core.protocol import Summary

_PAGE = 200
_AT_ONCE = 16
"""Executions that are asked at the same time."""
_WAITING = ("waiting",)
_PATH = re.compile(r"\s*\$\{\s*((?:\.[A-Za-z_]\w*)+)\s*\}\s*")
_SOURCE = "/flunq/approvals"
LINK_SECONDS = 7 * 86_400
"""How long a link counts unless somebody says otherwise."""
_FREE = "any"
"""What a correlation wants whose first event sets the expectation."""


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that an execution waits for."""

    execution: str
    task: str
    workflow: str
    title: str
    who: str = ""
    form: dict[str, Any] | None = None
    """A JSON Schema of what is to be answered beside yes or no."""
    since: int | None = None
    step: int = -1
    """Which time the task is run, where that is known."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that was published, or is ready to be."""

    execution: str
    task: str
    approved: bool
    event: dict[str, Any]


class _Open(NamedTuple):
    """A listener that waits for a person, and what is known of it."""

    approval: Approval
    state: State
    workflow: Workflow
    step: int


Found: TypeAlias = list[Approval]


class Approvals:
    """``client.approvals``: see what waits for a person, and answer."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list(self, workflow: str | None = None) -> Found:
        """Return what waits for a decision, the oldest execution last."""
        found: Found = []
        before: tuple[int, str] | None = None
        asking, gate = _Asking(self._client), asyncio.Semaphore(_AT_ONCE)
        while True:
            page = await self._client.list(
                limit=_PAGE, before=before, status=_WAITING, workflow=workflow
            )
            looks = (self._look(summary, asking, gate) for summary in page)
            for opened in await asyncio.gather(*looks):
                found += [each.approval for each in opened]
            if len(page) < _PAGE:
                return found
            before = (page[-1].started_at, page[-1].id)

    async def answer(
        self,
        execution: str,
        *,
        approved: bool,
        task: str | None = None,
        data: dict[str, Any] | None = None,
        by: str = "",
        reason: str = "",
    ) -> Sent:
        """Publish the event that a listener waits for.

        Raises ConflictError when nothing waits, RejectedError when the data are not those of the
        form, or when the listener would not take the event.
        """
        ready = await self.prepare(
            execution, approved=approved, task=task, data=data, by=by, reason=reason
        )
        await self.publish(ready)
        return ready

    async def publish(self, ready: Sent) -> None:
        """Publish an answer that was prepared; the same one again has no further effect."""
        await self._client.emit([ready.event])

    async def find(self, execution: str, task: str | None = None, step: int = -1) -> Approval:
        """Return what waits for a decision; raises ConflictError when that is not one task."""
        return _the_one(
            await self._open(execution, _Asking(self._client)), execution, task, step
        ).approval

    async def link(
        self, execution: str, *, task: str | None = None, lifetime: int = LINK_SECONDS
    ) -> ApprovalLink:
        """Make an address by which whoever has it answers once, without a token."""
        waiting = await self.find(execution, task)
        return await self.link_to(waiting, lifetime=lifetime)

    async def link_to(self, waiting: Approval, *, lifetime: int = LINK_SECONDS) -> ApprovalLink:
        """Make an address for one of those that were listed."""
        return await self._client.tokens.link(
            waiting.execution, waiting.task, waiting.step, lifetime
        )

    async def prepare(
        self,
        execution: str,
        *,
        approved: bool,
        task: str | None = None,
        step: int = -1,
        data: dict[str, Any] | None = None,
        by: str = "",
        reason: str = "",
    ) -> Sent:
        """Return the answer that :meth:`answer` would publish, checked as there."""
        waiting = _the_one(
            await self._open(execution, _Asking(self._client)), execution, task, step
        )
        given = {**(data or {}), "approved": approved}
        given |= {name: said for name, said in (("by", by), ("reason", reason)) if said}
        _check_form(waiting.approval, data or {}, approved=approved)
        event = _event_for(waiting, given)
        return Sent(execution=execution, task=waiting.approval.task, approved=approved, event=event)

    async def _opened(self, execution: str) -> tuple[_Open, ...]:
        return await self._open(execution, _Asking(self._client))

    async def _look(
        self, summary: Summary, asking: _Asking, gate: asyncio.Semaphore
    ) -> tuple[_Open, ...]:
        async with gate:
            try:
                name = f"{summary.namespace}/{summary.workflow}:{summary.version}"
                if await asking.definition(name) is None:
                    return ()
                return await self._open(summary.id, asking)
            except NotFoundError:
                return ()  # it has been deleted meanwhile

    async def _open(self, execution: str, asking: _Asking) -> tuple[_Open, ...]:
        details = await self._client.get(execution)
        if not any(item.get("for") == "event" for item in details.waiting):
            return ()
        name = f"{details.namespace}/{details.workflow}:{details.version}"
        workflow = await asking.definition(name)
        if workflow is None or workflow.digest != details.digest:
            return ()
        asked = {
            item["listener"]: (item["task"], found)
            for item in details.waiting
            if item.get("for") == "event"
            and (found := asked_of(workflow.value, str(item["task"]))) is not None
        }
        state = (await read_story(self._client.history(execution))).state if asked else None
        if state is None:
            return ()
        full_name = f"{details.namespace}/{details.workflow}"
        return tuple(
            _Open(_approval(execution, full_name, asked[name], state, step), state, workflow, step)
            for name, step in state.listeners.items()
            if name in asked
        )


class _Asking:
    """The definitions that ask somebody, each fetched and compiled once for all executions."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, Workflow | None] = {}
        self._turn = asyncio.Lock()

    async def definition(self, name: str) -> Workflow | None:
        """Return a definition, None if none of its tasks asks anybody."""
        async with self._turn:
            if name not in self._known:
                text = await self._client.workflow(name)
                self._known[name] = compiled(text) if asks_anybody(text.document) else None
            return self._known[name]


def _approval(
    execution: str, workflow: str, asked: tuple[str, dict[str, Any]], state: State, step: int
) -> Approval:
    task, members = asked
    form = members.get("form")
    return Approval(
        execution=execution,
        task=task,
        workflow=workflow,
        title=str(members.get("title") or task),
        who=str(members.get("who") or ""),
        form=form if isinstance(form, dict) else None,
        since=state.frames[step].started_at,
        step=step,
    )


def _the_one(waiting: tuple[_Open, ...], execution: str, task: str | None, step: int = -1) -> _Open:
    chosen = [
        each
        for each in waiting
        if (task is None or _is_named(each.approval.task, task)) and step in (-1, each.step)
    ]
    if not chosen:
        raise ConflictError(
            f"nothing in execution {execution} waits for a person",
            hint="see what does: flunq approvals list",
        )
    if len(chosen) > 1:
        names = ", ".join(each.approval.task for each in chosen)
        raise ConflictError(f"several tasks wait: {names}", hint="name one with --task")
    return chosen[0]


def _is_named(pointer: str, task: str) -> bool:
    return task in (pointer, pointer.rsplit("/", 1)[-1])


def _check_form(approval: Approval, data: dict[str, Any], *, approved: bool) -> None:
    """Check the answer; who says no need not fill in the form."""
    if approval.form is None or (not approved and not data):
        return
    import jsonschema_rs  # takes a while to import

    try:
        jsonschema_rs.validate(approval.form, data)
    except jsonschema_rs.ValidationError as error:
        raise RejectedError(f"the answer does not fit the form: {error.message}") from None


def _event_for(waiting: _Open, data: dict[str, Any]) -> dict[str, Any]:
    """Return the event that the first filter of the listener takes."""
    approval, state = waiting.approval, waiting.state
    spec = _first_filter(task_at(waiting.workflow.value, approval.task))
    wanted = spec.get("with", {})
    if not isinstance(wanted.get("type"), str) or wanted["type"].startswith("${"):
        raise RejectedError(f"the filter of {approval.task} names no type of event")
    literal = {
        name: value
        for name, value in wanted.items()
        if name != "data" and not (isinstance(value, str) and value.startswith("${"))
    }
    event = {
        "source": _SOURCE,
        **literal,
        "specversion": "1.0",
        # The bus takes an event of one id once: of two answers one counts.
        "id": f"approval:{approval.execution}:{waiting.step}",
        "datacontenttype": "application/json",
        "data": data,
    }
    now = time.time_ns() // 1_000
    for part in _parts(near_misses(state, waiting.workflow, waiting.step, [event], now)):
        if part.name.startswith("correlate."):
            key = part.name.removeprefix("correlate.")
            _put(event, spec["correlate"][key]["from"], part.wanted, approval)
    missed = near_misses(state, waiting.workflow, waiting.step, [event], now)
    failed = [part.name for part in _parts(missed) if part.meets is False]
    if failed or not missed:
        raise RejectedError(
            f"{approval.task} would not take the answer: {', '.join(failed) or 'no filter fits'}",
            hint="publish what it waits for with: flunq emit",
        )
    return event


def _parts(misses: list[NearMiss]) -> list[Any]:
    return misses[0].parts if misses else []


def _first_filter(task: dict[str, Any]) -> dict[str, Any]:
    to = task.get("listen", {}).get("to", {})
    one = to.get("one") or next(iter(to.get("any") or to.get("all") or ()), None)
    return one if isinstance(one, dict) else {}


def _put(event: dict[str, Any], program: str, value: Any, approval: Approval) -> None:
    """Put a value where a correlation reads it."""
    path = _PATH.fullmatch(program)
    if path is None:
        raise RejectedError(
            f"{approval.task} reads its correlation with {program}, which has no place to write to",
            hint="publish what it waits for with: flunq emit",
        )
    *way, last = path[1].strip(".").split(".")
    place = event
    for name in way:
        place = place.setdefault(name, {})
    if value != _FREE:
        place[last] = value
    else:
        place.setdefault(last, approval.execution)
