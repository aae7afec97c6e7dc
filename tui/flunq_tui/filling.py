"""Commands that ask for values first: start a workflow, publish an event, answer a listener."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.ids import is_valid_id
from flunq.errors import UsageError
from flunq_tui.dialogs.form import Form
from flunq_tui.editor import edited
from flunq_tui.model.awaiting import Awaited, awaited, task_at
from flunq_tui.model.execution import Execution
from flunq_tui.model.form import Field, fields_of, says, texts_of
from flunq_tui.views.workflows import input_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq.core.protocol import Details
    from flunq_tui.actions import Item
    from flunq_tui.app import Monitor

_ATTRIBUTES = ("type", "source", "subject")


class Filling:
    """The commands of the registry that begin with a form."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._say = monitor.say
        self._drafts: dict[str, dict[str, Any]] = {}
        """What was filled in and not taken, by what it is for: the next form begins with it."""

    async def start(self, items: Sequence[Item]) -> None:
        """Fill in a form made from the schema of the workflow's input, and start.

        It begins with the input of the execution that was selected; what the fields cannot say of
        it must not be lost, and makes the whole input one field.
        """
        workflow = items[0].name
        schema = input_schema(await self._monitor.source.definition(workflow))
        fields = fields_of(schema)
        texts: dict[str, str] = {}
        draft = f"start {workflow} {items[0].id}"
        refused = self._drafts.pop(draft, None)
        if refused is not None:
            fields, texts = _filled(fields, refused["value"])
        elif items[0].kind == "execution":
            earlier = (await self._monitor.source.details(items[0].id)).input
            fields = fields if says(fields, earlier) else [Field(kind="json")]
            texts = texts_of(fields, earlier)
        form = Form(
            self._say("form.start", workflow=workflow),
            fields,
            send=self._say("do.start"),
            with_id=self._say("form.id"),
            execution=refused["id"] if refused is not None else "",
            texts=texts,
            schema=schema,
            edit=self._edit,
            check_id=self._check_id,
        )
        given = await self._monitor.push_screen_wait(form)
        if given is None:
            return
        self._drafts[draft] = given
        execution = await self._monitor.source.start(workflow, given["value"], given["id"] or None)
        self._drafts.pop(draft, None)
        self._monitor.tell(self._say("act.started", id=execution))
        self._monitor.open_execution(execution)

    def _check_id(self, name: str) -> str:
        return "" if is_valid_id(name) else self._say("form.bad_id", id=name)

    async def emit(self, items: Sequence[Item]) -> None:
        """Publish a CloudEvent; what the selected execution waits for is filled in."""
        known = await self._awaited(items[0]) if items and items[0].kind == "execution" else []
        first = known[0] if known else Awaited(type="", attributes={"source": "/flunq/tui"})
        given = {"type": first.type, **first.attributes}
        data = msgspec.json.encode(first.data).decode()
        fields = [
            *(_attribute(name, given.pop(name, "")) for name in _ATTRIBUTES),
            *(_attribute(name, text) for name, text in given.items()),
            Field(path=("data",), kind="json", default=data),
        ]
        draft = f"emit {items[0].id if items else ''}"
        refused = self._drafts.pop(draft, None)
        texts: dict[str, str] = {}
        if refused is not None:
            fields, texts = _filled(fields, refused["value"])
        heading = self._say("form.emit")
        form = Form(heading, fields, send=self._say("do.emit"), texts=texts, edit=self._edit)
        filled = await self._monitor.push_screen_wait(form)
        if filled is not None:
            self._drafts[draft] = filled
            await self._publish(filled["value"])
            self._drafts.pop(draft, None)

    async def answer(self, items: Sequence[Item]) -> None:
        """Give an execution the event that it waits for; a schema of its data makes a form."""
        known = await self._awaited(items[0])
        if not known:
            raise UsageError(self._say("answer.none", id=items[0].id))
        wanted = await self._chosen(known)
        if wanted is None:
            return
        fields = fields_of(wanted.schema)
        texts = texts_of(fields, wanted.data)
        draft = f"answer {items[0].id} {wanted.type}"
        refused = self._drafts.pop(draft, None)
        if refused is not None:
            fields, texts = _filled(fields, refused["value"])
        form = Form(
            self._say("form.answer", type=wanted.type, id=items[0].id),
            fields,
            send=self._say("do.answer"),
            texts=texts,
            schema=wanted.schema,
            edit=self._edit,
        )
        given = await self._monitor.push_screen_wait(form)
        if given is not None:
            self._drafts[draft] = given
            event = {"type": wanted.type, **wanted.attributes, "data": given["value"]}
            await self._publish(event)
            self._drafts.pop(draft, None)

    async def _chosen(self, known: Sequence[Awaited]) -> Awaited | None:
        if len(known) == 1:
            return known[0]
        options = [(str(at), each.type or "?") for at, each in enumerate(known)]
        chosen = await self._monitor.choose(self._say("do.answer"), options)
        return None if chosen is None else known[int(chosen)]

    async def _publish(self, members: dict[str, Any]) -> None:
        event = {name: value for name, value in members.items() if value != ""}
        await self._monitor.source.emit([self._monitor.new_event(event)])
        self._monitor.tell(self._say("act.emitted", type=event["type"]))

    async def _awaited(self, item: Item) -> list[Awaited]:
        details = await self._monitor.source.details(item.id)
        references = listening(details)
        if not references:
            return []
        name = f"{details.namespace}/{details.workflow}:{details.version}"
        document = (await self._monitor.source.definition(name)).document
        execution = Execution(item.id)
        execution.extend([event async for event in self._monitor.source.history(item.id)])
        found: list[Awaited] = []
        for reference in references:
            task = task_at(document, reference)
            if isinstance(task, dict):
                found += awaited(task, _input_at(execution, reference))
        return found

    async def _edit(self, heading: str, text: str) -> str | None:
        return await edited(self._monitor, heading, text)


def listening(details: Details) -> list[str]:
    """Return the tasks of an execution that wait for an event."""
    return [str(each["task"]) for each in details.waiting if each.get("for") == "event"]


def _filled(fields: list[Field], value: Any) -> tuple[list[Field], dict[str, str]]:
    """Return the fields and their texts that say all of a value; what it lacks stays empty."""
    if not says(fields, value):
        fields = [Field(kind="json")]
    return fields, {**dict.fromkeys((each.name for each in fields), ""), **texts_of(fields, value)}


def _attribute(name: str, text: str) -> Field:
    return Field(path=(name,), kind="string", required=name in ("type", "source"), default=text)


def _input_at(execution: Execution, reference: str) -> Any:
    steps = [step for step in execution.steps.values() if step.reference == reference]
    newest = max(steps, key=lambda step: step.number, default=None)
    found = msgspec.UNSET if newest is None else execution.input(newest.number, execution.last)
    return None if found is msgspec.UNSET else found
