"""Runs one document as an engine does: the real core, the real executors, a clock that jumps.

The core decides with virtual time; what it dispatches is run by the installed executors in an
:class:`ExecutorPool`, against the servers of :mod:`tests.conformance.world`. Time moves on when
nothing else is left to do, so a wait of a year takes none and is still a year.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.client.bundling import bundle_document
from flunq.client.resources import Fetching
from flunq.core.document.bundle import Library
from flunq.core.document.compiler import compile_workflow
from flunq.core.execution.commands import Cancel, Deliver, Report, Resume, Start, Suspend
from flunq.core.reading import read_document
from flunq.sdk.secrets import MappingSecrets
from tests.conformance.world import FILES, LOCAL
from tests.support.driver import BASE, Driver

if TYPE_CHECKING:
    from tests.conformance.world import World

HEADER = {"dsl": "1.0.3", "namespace": "test", "name": "sample", "version": "1.0.0"}
NONCE = "0123456789abcdef0123456789abcdef"
MILLISECOND = 1_000
SECOND = 1_000_000


def whole(members: dict[str, Any]) -> dict[str, Any]:
    """Return a document with the usual header, unless it has one of its own."""
    header = {**HEADER, **members.get("document", {})}
    return {**members, "document": header}


class Execution(Driver):
    """One execution, whose definition comes with everything that it refers to."""

    def __init__(self, value: dict[str, Any], library: Library, start: Start | None, given: Any):
        super().__init__(value, given)
        workflow = compile_workflow(value, "digest", library)
        self.env = msgspec.structs.replace(self.env, workflow=workflow)
        self.now = self.began = round(time.time()) * SECOND
        first = self.start if start is None else start
        self.start = msgspec.structs.replace(first, nonce=NONCE)


class Laboratory:
    """Runs the executions of one case."""

    def __init__(self, world: World, secrets: dict[str, Any], others: list[dict[str, Any]]) -> None:
        self._world = world
        self._secrets = secrets
        self._others = [whole(other) for other in others]
        self._contents: dict[str, bytes] = {}
        self._signals: asyncio.Queue[Report | None] = asyncio.Queue()
        self._running: set[str] = set()
        self._held = 0
        self.children: list[Execution] = []

    async def run(
        self, value: dict[str, Any], given: Any, steps: list[dict[str, Any]]
    ) -> Execution:
        """Run a document to its end, or until nothing happens any more."""
        execution = await self._prepare(value, given, None)
        async with self._world.pool(self._secrets, self._bundled) as self._pool:
            self._world.on_hold = self._hold
            await self._drive(execution, list(steps))
        return execution

    async def _prepare(self, value: dict[str, Any], given: Any, start: Start | None) -> Execution:
        document = read_document(msgspec.json.encode(value), name="case.yaml")
        secrets = MappingSecrets(self._secrets)
        catalog = self._world.catalog
        fetching = Fetching(directory=FILES, egress=LOCAL, secrets=secrets, catalog=catalog)
        bundle = await bundle_document(document, fetching)
        self._contents.update(bundle.contents)
        return Execution(document.value, Library(bundle.table, bundle.contents), start, given)

    async def _bundled(self, digest: str) -> bytes:
        return self._contents[digest]

    async def _drive(self, execution: Execution, steps: list[dict[str, Any]]) -> None:
        execution.begin()
        told = 0
        while True:
            self._withdraw(execution)
            told = await self._serve(execution, told)
            if execution.done:
                return
            if execution.queue:
                self._submit(execution)
            elif len(self._running) > self._held:
                self._report(execution, await self._signals.get())
            elif steps:
                _step(execution, steps.pop(0))
            elif execution.timers and not execution.live.suspended:
                execution.fire()
            else:
                return

    def _submit(self, execution: Execution) -> None:
        for dispatch in execution.queue:
            self._running.add(dispatch.task)
            assert self._pool.submit(dispatch, self._signals.put_nowait), dispatch.kind
        execution.queue = []

    def _hold(self) -> None:
        """Something was called that never answers."""
        self._held += 1
        self._signals.put_nowait(None)

    def _report(self, execution: Execution, report: Report | None) -> None:
        if report is None or report.task not in self._running:
            return
        self._running.discard(report.task)
        execution.report(report.task, report.failure or report.output)

    def _withdraw(self, execution: Execution) -> None:
        for task in execution.withdrawn:
            if task in self._running:
                self._running.discard(task)
                self._held = max(0, self._held - 1)
                self._pool.withdraw(task)

    async def _serve(self, execution: Execution, told: int) -> int:
        """Run what an execution starts; tell it how that ended."""
        while told < len(execution.told):
            command = execution.told[told]
            told += 1
            if isinstance(command, Start):
                child = await self._child(command)
                for answer in child.told:
                    if isinstance(answer, Report) and not execution.done:
                        execution.report(answer.task, answer.failure or answer.output)
        return told

    async def _child(self, start: Start) -> Execution:
        wanted = start.workflow
        versions = [
            other
            for other in self._others
            if (other["document"]["namespace"], other["document"]["name"])
            == (wanted.namespace, wanted.name)
            and wanted.version in ("", other["document"]["version"])
        ]
        child = await self._prepare(versions[-1], None, start)
        self.children.append(child)
        await self._drive(child, [])
        return child


def _step(execution: Execution, step: dict[str, Any]) -> None:
    """Let something happen to an execution at which nothing happens by itself."""
    ((kind, value),) = step.items()
    if kind == "event":
        number = str(len(execution.events))
        event = {"specversion": "1.0", "id": number, "source": "urn:test", **value}
        for listener in list(execution.live.listeners):
            execution.send(Deliver(id="x1", listener=listener, event=event))
    elif kind == "suspend":
        execution.send(Suspend(id="x1"))
    elif kind == "resume":
        execution.send(Resume(id="x1"))
    elif kind == "cancel":
        execution.send(Cancel(id="x1"))
    else:
        assert kind == "timer", kind
        execution.fire()


def observed(execution: Execution, laboratory: Laboratory, world: World) -> dict[str, Any]:
    """Return all that a case may ask of an execution, as JSON."""
    state = execution.live
    events = [
        {"type": event.type, "data": event.data, "at": _since(execution, event.time)}
        for event in execution.events
    ]
    found = {
        "status": state.status,
        "output": state.output,
        "error": None if state.failure is None else msgspec.to_builtins(state.failure),
        "context": state.context,
        "started": execution.started(),
        "history": events,
        "types": [event["type"] for event in events],
        "emitted": execution.published,
        "requests": world.requests(),
        "elapsed": (execution.now - execution.began) // MILLISECOND,
        "children": [
            {"workflow": str(child.start.workflow), "input": child.start.input}
            for child in laboratory.children
        ],
    }
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return decoded


def standard(kind: str) -> str:
    """Return the type of an error by its short name."""
    return kind if ":" in kind else BASE + kind


def _since(execution: Execution, moment: str) -> int:
    """Return the milliseconds from the start to a moment."""
    at = round(datetime.fromisoformat(moment).timestamp() * 1_000)
    return at - execution.began // MILLISECOND
