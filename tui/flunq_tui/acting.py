"""What commands do to the cluster: on one thing or on many, asked first where it is dangerous."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flunq.core.ids import is_valid_id
from flunq.errors import FlunqError
from flunq_tui.actions import Item, by_id, possible
from flunq_tui.dialogs.confirm import Confirm
from flunq_tui.dialogs.form import Form
from flunq_tui.model.equivalents import equal_command
from flunq_tui.model.folding import pretty
from flunq_tui.model.form import Field, fields_of
from flunq_tui.model.formats import age, duration, task_name
from flunq_tui.model.graph import event_types
from flunq_tui.views.workflows import input_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flunq.core.protocol import Details
    from flunq_tui.app import Monitor
    from flunq_tui.widgets.json_pane import Plain

_NAMED = 5
"""Things that a question names one by one."""


class Acting:
    """The commands of the registry that ask the cluster for something."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._say = monitor.say

    # -- many executions ---------------------------------------------------------------------------

    async def on_executions(self, action: str, items: Sequence[Item]) -> None:
        """Cancel, suspend, resume or delete; says what became of each."""
        command = by_id[action]
        situation = self._monitor.situation()
        fitting = [item for item in possible(command, situation) if item in items]
        left_out = len(items) - len(fitting)
        if command.danger and not await self._confirmed(action, fitting):
            return
        failures: list[str] = []
        for item in fitting:
            try:
                await self._monitor.source.act(action, item.id)
            except FlunqError as error:
                failures.append(f"{item.id}: {error.message}")
        done = len(fitting) - len(failures)
        self._monitor.tell(
            self._say("act.done", action=self._say(f"do.{action}"), count=done)
            + (f"; {self._say('act.left_out', count=left_out)}" if left_out else "")
        )
        if failures:
            self._monitor.tell("\n".join(failures[:_NAMED]), error=True)

    async def _confirmed(self, action: str, items: Sequence[Item]) -> bool:
        named = [f"  {item.id}  {item.name}  {item.status}" for item in items[:_NAMED]]
        if len(items) > _NAMED:
            named.append(f"  … +{len(items) - _NAMED}")
        named.append(f"  $ {equal_command('', items[:1], action)}{' …' if items[1:] else ''}")
        question = self._say("confirm.question", action=self._say(f"do.{action}"), count=len(items))
        dialog = Confirm(question, named, self._say("confirm.yes"), self._say("confirm.no"))
        answer = await self._monitor.push_screen_wait(dialog)
        return answer is True

    async def export(self, items: Sequence[Item]) -> None:
        """Write executions into files of the working directory."""
        for item in items:
            path = await self._monitor.source.export(item.id, Path.cwd())
            self._monitor.tell(self._say("act.exported", path=path))

    # -- starting and publishing -------------------------------------------------------------------

    async def start(self, items: Sequence[Item]) -> None:
        """Fill in a form made from the schema of the workflow's input, and start."""
        workflow = items[0].name
        definition = await self._monitor.source.definition(workflow)
        fields = fields_of(input_schema(definition))
        form = Form(
            self._say("form.start", workflow=workflow),
            fields,
            send=self._say("do.start"),
            with_id=self._say("form.id"),
            texts=await self._earlier_input(items[0], fields),
        )
        given = await self._monitor.push_screen_wait(form)
        if given is None:
            return
        name = given["id"] or None
        if name is not None and not is_valid_id(name):
            self._monitor.tell(self._say("form.bad_id", id=name), error=True)
            return
        execution = await self._monitor.source.start(workflow, given["value"], name)
        self._monitor.tell(self._say("act.started", id=execution))
        self._monitor.open_execution(execution)

    async def _earlier_input(self, item: Item, fields: list[Field]) -> dict[str, str]:
        """Begin with the input of the execution that was selected."""
        if item.kind != "execution":
            return {}
        value = (await self._monitor.source.details(item.id)).input
        if len(fields) == 1 and not fields[0].name:
            return {"": pretty(value)}
        if not isinstance(value, dict):
            return {}
        return {
            name: each if isinstance(each, str) else pretty(each) for name, each in value.items()
        }

    async def emit(self, items: Sequence[Item]) -> None:
        """Publish a CloudEvent; its type is what the selected execution waits for."""
        kind = await self._awaited_type(items)
        fields = [
            Field(name="type", kind="string", required=True, default=kind),
            Field(name="source", kind="string", required=True, default="/flunq/tui"),
            Field(name="subject", kind="string"),
            Field(name="data", kind="json", default="{}"),
        ]
        form = Form(self._say("form.emit"), fields, send=self._say("do.emit"))
        given = await self._monitor.push_screen_wait(form)
        if given is None:
            return
        event = {name: value for name, value in given["value"].items() if value != ""}
        await self._monitor.source.emit([self._monitor.new_event(event)])
        self._monitor.tell(self._say("act.emitted", type=event["type"]))

    async def _awaited_type(self, items: Sequence[Item]) -> str:
        if not items or items[0].kind != "execution":
            return ""
        details = await self._monitor.source.details(items[0].id)
        references = [str(each["task"]) for each in details.waiting if each.get("for") == "event"]
        if not references:
            return ""
        name = f"{details.namespace}/{details.workflow}:{details.version}"
        document = (await self._monitor.source.definition(name)).document
        task = _task_at(document, references[0])
        return next(iter(event_types(task)), "") if isinstance(task, dict) else ""

    async def steer(self, action: str, items: Sequence[Item]) -> None:
        """Pause, resume or fire schedules."""
        for item in items:
            result = await self._monitor.source.steer(action, item.id)
            self._monitor.tell(self._say(f"act.{action}", name=item.id, result=result))

    # -- answers -----------------------------------------------------------------------------------

    async def why(self, items: Sequence[Item]) -> None:
        """Say what an execution waits for, since when, and what to do about it."""
        details = await self._monitor.source.details(items[0].id)
        heading = self._say("why.heading", id=details.id)
        await self._monitor.read(heading, lines=self._why_lines(details))

    def _why_lines(self, details: Details) -> list[Plain]:
        now = self._monitor.now()
        since = duration((details.ended_at or now) - details.started_at)
        status = self._say(f"status.{details.status}")
        name = f"{details.namespace}/{details.workflow}:{details.version}"
        lines: list[Plain] = [((f"{status}  {since}  ", "title"), (name, "dim"))]
        lines += [self._waiting_line(each, now) for each in details.waiting]
        if details.failure is not None:
            failure = details.failure
            lines.append(((f"{failure.title or failure.type} ({failure.status})", "bad"),))
            lines += [((text, ""),) for text in (failure.detail, failure.instance) if text]
        lines.append((("", ""),))
        lines += [((f"$ {command}", "accent"),) for command in _next_commands(details)]
        return lines

    def _waiting_line(self, each: Mapping[str, Any], now: int) -> Plain:
        task = task_name(str(each.get("task", "")))
        kind = str(each.get("kind", each.get("for", "")))
        if "due" in each:
            purpose = str(each.get("timer", ""))[-1:]
            known = {"w": "wait", "r": "retry"}.get(purpose, "timeout")
            text = f"{self._say(f'waiting.{known}')} {age(each['due'], now)}"
        elif each.get("for") == "event":
            text = self._say("waiting.listen")
        elif each.get("node") in ("", "queue"):
            text = self._say("why.queue", kind=kind)
        else:
            text = self._say("why.node", kind=kind, node=each.get("node"))
        return ((f"  {task}: ", "key"), (text, ""))

    async def json(self, items: Sequence[Item]) -> None:
        """Show everything about what is selected as JSON."""
        import msgspec

        item, source = items[0], self._monitor.source
        value: Any
        if item.kind == "execution":
            value = msgspec.to_builtins(await source.details(item.id))
        elif item.kind == "workflow":
            value = (await source.definition(item.id)).document
        elif item.kind == "schedule":
            found = await source.schedules()
            named = {f"{each.namespace}/{each.name}": each for each in found}
            value = msgspec.to_builtins(named.get(item.id))
        else:
            value = self._monitor.selected_value()
        await self._monitor.read(item.id, value=value)


def _next_commands(details: Details) -> list[str]:
    waits_for_event = any(each.get("for") == "event" for each in details.waiting)
    commands = [f"flunq history {details.id}"]
    if details.status == "suspended":
        commands.append(f"flunq resume {details.id}")
    if waits_for_event:
        commands.append("flunq emit TYPE --data JSON")
    return commands


def _task_at(document: Any, reference: str) -> Any:
    for token in reference.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list) and name.isdigit() and int(name) < len(document):
            document = document[int(name)]
        elif isinstance(document, dict):
            document = document.get(name)
        else:
            return None
    return document
