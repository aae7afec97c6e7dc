"""What commands do to executions, letters and schedules: on one or many, asked where it matters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.errors import FlunqError, UsageError
from flunq_tui.actions import Item, by_id, possible
from flunq_tui.dialogs.confirm import Confirm
from flunq_tui.editor import edited
from flunq_tui.model.equivalents import equal_command
from flunq_tui.model.execution import Execution
from flunq_tui.model.folding import pretty
from flunq_tui.model.restoring import failing_input, next_input

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from flunq_tui.app import Monitor

_NAMED = 5
"""Things that a question names one by one."""


class Acting:
    """The commands of the registry that change something that is there."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._say = monitor.say
        self._drafts: dict[str, str] = {}
        """What was edited and not taken, by what it is for: the next edit goes on with it."""

    # -- on many -----------------------------------------------------------------------------------

    async def on_executions(self, action: str, items: Sequence[Item], **values: Any) -> None:
        """Cancel, suspend, resume, delete, retry or rewind; says what became of each."""

        async def act(item: Item) -> None:
            if item.kind == "letter":
                await self._monitor.source.settle(_OF_LETTERS[action], item.id)
            else:
                await self._monitor.source.act(action, item.id, **values)

        await self._on_each(action, items, act)

    async def _on_each(
        self, action: str, items: Sequence[Item], act: Callable[[Item], Awaitable[None]]
    ) -> None:
        command = by_id[action]
        given = set(items)
        fitting = [item for item in possible(command, self._monitor.situation()) if item in given]
        left_out = len(items) - len(fitting)
        asks = command.danger or (command.id in ("retry", "fork") and len(fitting) > 1)
        if asks and not await self._confirmed(action, fitting):
            return
        failures: list[str] = []
        for item in fitting:
            try:
                await act(item)
            except FlunqError as error:
                failures.append(f"{item.id}: {error.message}")
        self._tell_of(action, len(fitting) - len(failures), left_out, failures)
        await self._monitor.view.enter()

    def _tell_of(self, action: str, done: int, left_out: int, failures: list[str]) -> None:
        if done or not failures:
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
            path = await self._monitor.source.export(item.id, self._monitor.options.folder)
            self._monitor.tell(self._say("act.exported", path=path))

    async def steer(self, action: str, items: Sequence[Item]) -> None:
        """Pause, resume, skip or fire schedules."""
        for item in items:
            result = await self._monitor.source.steer(action, item.id)
            self._monitor.tell(self._say(f"act.{action}", name=item.id, result=result))

    # -- once more, changed ------------------------------------------------------------------------

    async def retry_edited(self, items: Sequence[Item]) -> None:
        """Edit what a failing task was given, or the body of a letter, and try again."""
        (item, *_) = possible(by_id["retry_edited"], self._monitor.situation())
        if item.kind == "letter":
            await self._retry_letter(item)
            return
        execution = await self._history(item.id)
        draft = f"retry {item.id}"
        value = await self._edited(draft, item, failing_input(execution))
        if value is not msgspec.UNSET:
            await self._monitor.source.act("retry", item.id, input=value)
            self._drafts.pop(draft)
            self._done("retry")

    async def _retry_letter(self, item: Item) -> None:
        letter = await self._monitor.source.letter(item.id)
        if letter.body is None or letter.truncated:
            raise UsageError(self._say("letter.cut"))
        draft = f"letter {item.id}"
        body = await self._text(draft, self._say("do.retry_edited"), letter.body)
        if body is not None:
            became = await self._monitor.source.settle("retry", item.id, body)
            self._drafts.pop(draft)
            self._monitor.tell(became)
            await self._monitor.view.enter()

    async def fork(self, items: Sequence[Item], position: int | None) -> None:
        """Begin anew from the start, or from the event that is shown, perhaps with other input."""
        if len(items) > 1:
            await self._on_each("fork", items, self._fork_from_start)
            return
        ways = ["start", "start_edited"]
        if position is not None:
            ways = ["here", "here_edited", *ways]
        options = [(way, self._say(f"fork.{way}", position=position or 0)) for way in ways]
        chosen = await self._monitor.choose(self._say("do.fork"), options)
        if chosen is not None:
            at = position if chosen.startswith("here") else None
            await self._fork_one(items[0], at, edit=chosen.endswith("edited"))

    async def _fork_from_start(self, item: Item) -> None:
        await self._monitor.source.fork(item.id, at=None)

    async def _fork_one(self, item: Item, at: int | None, *, edit: bool) -> None:
        given: dict[str, Any] = {}
        draft = f"fork {item.id} {at}"
        if edit:
            execution = await self._history(item.id)
            value = await self._edited(draft, item, next_input(execution, at))
            if value is msgspec.UNSET:
                return
            given["input"] = value
        execution_id = await self._monitor.source.fork(item.id, at=at, **given)
        self._drafts.pop(draft, None)
        self._monitor.tell(self._say("act.started", id=execution_id))
        self._monitor.open_execution(execution_id)

    async def rewind(self, items: Sequence[Item], position: int) -> None:
        """Put an execution back to where it was after an event."""
        await self.on_executions("rewind", items, at=position)

    async def _history(self, name: str) -> Execution:
        execution = Execution(name)
        execution.extend([event async for event in self._monitor.source.history(name)])
        return execution

    async def _edited(self, draft: str, item: Item, value: Any) -> Any:
        """Return the value as somebody changed it; UNSET if it was left as it is."""
        text = await self._text(draft, f"{item.name} {item.id}", pretty(value) + "\n")
        if text is None:
            self._monitor.tell(self._say("act.unchanged"))
            return msgspec.UNSET
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise UsageError(self._say("form.no_json", problem=error)) from None

    async def _text(self, draft: str, heading: str, text: str) -> str | None:
        """Return what somebody made of a text, or of the draft that was not taken before."""
        found = await edited(self._monitor, heading, self._drafts.pop(draft, text))
        if found is not None:
            self._drafts[draft] = found
        return found

    def _done(self, action: str) -> None:
        self._monitor.tell(self._say("act.done", action=self._say(f"do.{action}"), count=1))


_OF_LETTERS = {"retry": "retry", "delete": "drop"}
