"""What ``flunq run`` does: on the cluster that runs, or on a private one."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flunq.cli import diagnostics, output
from flunq.cli.engine import for_people, keep_logs_away, read_input_option
from flunq.cli.exits import ExitCode
from flunq.cli.options import read_bytes
from flunq.cli.session import OutputFormat, current, settings
from flunq.errors import ExecutionFailedError, RejectedError, UsageError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from flunq.client import Client, Run
    from flunq.core.document.bundle import Bundle
    from flunq.core.execution.commands import WorkflowRef
    from flunq.core.protocol import Result
    from flunq.core.reading import Document, Problem
    from flunq.services.private import PrivateCluster

_LISTENING_PAUSE = 0.02
_NOT_ENVIRONMENT = re.compile(r"[^A-Za-z0-9]")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """The command line of ``flunq run``."""

    file: Path
    input: str | None = None
    id: str | None = None
    tags: dict[str, str]
    priority: str | None
    within: float | None = None
    detach: bool = False
    trace: bool = False
    functions: tuple[str, ...] = ()
    include: tuple[Path, ...] = ()
    events: Path | None = None
    secrets: Path | None = None
    private: bool | None = None
    traceparent: str | None = None

    @property
    def name(self) -> str:
        """The document's name in messages."""
        return "<stdin>" if str(self.file) == "-" else str(self.file)


class _Rejected(Exception):  # noqa: N818 - leaves the engine's contexts, is no failure of its own
    """Documents that cannot run, with what is wrong with each."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        super().__init__(name)
        self.name = name
        self.problems = problems


async def run_document(options: RunOptions) -> int:
    """Run a document; returns the exit code."""
    from flunq.cli.target import is_private

    keep_logs_away()
    try:
        if is_private(options):
            return await _run_privately(options)
        return await _run_on_cluster(options)
    except _Rejected as rejected:
        return _show_rejection(rejected)


async def _run_on_cluster(options: RunOptions) -> int:
    from flunq.client import connect

    document, others, value = _read(options)
    bundles = await _bundles([document, *others])
    async with connect(settings()) as client:
        run = await _start(client, document, others, options, value, bundles)
        try:
            return await _see_through(client, run, document, options)
        except asyncio.CancelledError:
            diagnostics.say(
                f"execution {run.id} goes on; follow it with: flunq tail {run.id}",
                f"stop it with: flunq cancel {run.id}",
            )
            raise


async def _run_privately(options: RunOptions) -> int:
    if options.detach:
        raise UsageError(
            "--detach needs a cluster that goes on", hint="start one with: flunq up --detach"
        )
    from flunq.services.private import PrivateCluster

    output.reserve_stdout()  # functions run in this process, and what they print is no data
    cluster = PrivateCluster(functions=options.functions)
    await cluster.begin()
    async with _prepared(cluster, options) as (document, others, value, bundles):
        run = await _start(cluster.client, document, others, options, value, bundles)
        ending = asyncio.create_task(_see_through(cluster.client, run, document, options, cluster))
        broken = asyncio.create_task(cluster.failed())
        try:
            await asyncio.wait([ending, broken], return_when=asyncio.FIRST_COMPLETED)
            if broken.done():
                broken.result()
            return ending.result()
        except asyncio.CancelledError:
            diagnostics.say(f"stopped; execution {run.id} ends with its private cluster")
            raise
        except WaitTimeoutError as error:
            error.hint = "its private cluster ended with it; run it on one that stays: flunq up"
            raise
        finally:
            ending.cancel()
            broken.cancel()
            await asyncio.gather(ending, broken, return_exceptions=True)


@asynccontextmanager
async def _prepared(
    cluster: PrivateCluster, options: RunOptions
) -> AsyncIterator[tuple[Document, list[Document], Any, dict[str, Bundle]]]:
    """Read everything while the server starts, then open the cluster."""
    try:
        read = _read(options)
        _require_functions(read[0], options)
        _provide_secrets(options)
        bundles = await _bundles([read[0], *read[1]])
        _require_functions_of(bundles[read[0].digest], read[0], options)
        await cluster.open()
        yield (*read, bundles)
    finally:
        await cluster.aclose()


# --- before the start -------------------------------------------------------------------------


def _read(options: RunOptions) -> tuple[Document, list[Document], Any]:
    from flunq.core.reading import InvalidDocument, read_document

    documents = []
    for path in (options.file, *options.include):
        name = options.name if path is options.file else str(path)
        try:
            documents.append(read_document(read_bytes(path), name=name))
        except InvalidDocument as invalid:
            raise _Rejected(name, invalid.problems) from None
    return documents[0], documents[1:], read_input_option(options.input)


def _require_functions(document: Document, options: RunOptions) -> None:
    """Refuse what would wait for ever: calls of functions that the private node does not host."""
    from flunq.core.reading import called_functions
    from flunq.sdk.functions import default_functions, load_functions

    for target in options.functions:
        load_functions(target)
    problems = [
        document.source.problem(
            pointer,
            f"no function called '{name}' is registered",
            "unknown-function",
            hint="name the module or file that registers it with --functions",
        )
        for name, pointer in called_functions(document)
        if name not in default_functions
    ]
    if problems:
        raise _Rejected(options.name, problems)


def _require_functions_of(bundle: Bundle, document: Document, options: RunOptions) -> None:
    """Refuse functions of files and catalogs that call what the private node does not host."""
    from flunq.core.document.addresses import is_function_address
    from flunq.core.document.references import called_functions
    from flunq.sdk.functions import default_functions

    declared = (document.value.get("use") or {}).get("functions") or {}
    problems = [
        document.source.problem("/do", f"{address} calls '{name}', which is not registered", rule)
        for address, task in bundle.functions().items()
        for name in called_functions(task)
        for rule in ["unknown-function"]
        if name not in declared and name not in default_functions
        if not is_function_address(name)
    ]
    if problems:
        raise _Rejected(options.name, problems)


async def _bundles(documents: list[Document]) -> dict[str, Bundle]:
    """Return what each document refers to, by its digest."""
    from flunq.cli.bundling import bundled
    from flunq.core.reading import InvalidDocument

    bundles = {}
    for document in documents:
        try:
            bundles[document.digest] = await bundled(document)
        except InvalidDocument as invalid:
            raise _Rejected(document.source.name, invalid.problems) from None
    return bundles


def _provide_secrets(options: RunOptions) -> None:
    if options.secrets is None:
        return
    from flunq.core.reading import read_input
    from flunq.sdk.secrets import PREFIX

    values = read_input(read_bytes(options.secrets), name=str(options.secrets))
    if not isinstance(values, dict):
        raise RejectedError("secrets are an object of names and values", where=str(options.secrets))
    for name, value in values.items():
        variable = PREFIX + _NOT_ENVIRONMENT.sub("_", name).upper()
        os.environ[variable] = output.compact_json(value)


# --- the execution ----------------------------------------------------------------------------


async def _start(
    client: Client,
    document: Document,
    others: list[Document],
    options: RunOptions,
    value: Any,
    bundles: dict[str, Bundle],
) -> Run:
    registered: dict[str, Any] = {}
    for each in (*others, document):
        bundle = bundles[each.digest]
        registered = await client.apply(each.source.content, schedule=False, bundle=bundle)
    run = await client.start(
        _ref(registered),
        value,
        id=options.id,
        tags=options.tags,
        priority=options.priority,
        traceparent=options.traceparent,
    )
    diagnostics.detail(f"started {run.id}")
    return run


def _ref(registered: dict[str, Any]) -> WorkflowRef:
    from flunq.core.execution.commands import WorkflowRef

    return WorkflowRef(**{name: registered[name] for name in WorkflowRef.__struct_fields__})


async def _see_through(
    client: Client,
    run: Run,
    document: Document,
    options: RunOptions,
    cluster: PrivateCluster | None = None,
) -> int:
    from flunq.cli.rendering.executions import result_json, workflow_json

    workflow = workflow_json(document.namespace, document.name, document.version)
    if options.events is not None:
        await _publish(client, run, document, options.events)
    if options.detach:
        output.emit({"id": run.id, "workflow": workflow, "status": run.status}, plain=run.id)
        diagnostics.say(f"follow it with: flunq tail {run.id}")
        return ExitCode.DONE
    result = await _wait(client, run, options)
    shown = result_json(result, workflow)
    if options.trace:
        from flunq.cli.rendering.trace import trace_of

        shown |= trace_of([event async for event in run.history()])
        if cluster is not None:
            # The history has an event only as its task's output, which `output.as` may change.
            shown["events"] = await cluster.published(run.id)
    return _show(result, shown, document, options)


async def _wait(client: Client, run: Run, options: RunOptions) -> Result:
    from flunq.cli.watching import watched

    async with watched(client, run.id):
        return await run.wait(options.within)


async def _publish(client: Client, run: Run, document: Document, path: Path) -> None:
    """Publish the events of a file, once a listener of the document hears them."""
    from flunq.core.reading import read_input

    events = read_input(read_bytes(path), name=str(path))
    events = events if isinstance(events, list) else [events]
    if not all(isinstance(event, dict) for event in events):
        raise RejectedError("an array of CloudEvents is wanted", where=str(path))
    if _listens(document.value.get("do")):
        await _until_listening(client, run)
    if events:
        await client.emit(events)


def _listens(value: Any) -> bool:
    if isinstance(value, dict):
        return "listen" in value or any(_listens(member) for member in value.values())
    return isinstance(value, list) and any(_listens(item) for item in value)


async def _until_listening(client: Client, run: Run) -> None:
    from flunq.core.events import ENGINE, TERMINAL_TYPES

    awaited = {f"{ENGINE}listen.registered", *TERMINAL_TYPES}
    cursor = 0
    while True:
        events, cursor, more = await client.history_page(run.id, cursor)
        if any(event.type in awaited for event in events):
            return
        if not more:
            await asyncio.sleep(_LISTENING_PAUSE)


# --- the end ----------------------------------------------------------------------------------


def _show(result: Result, shown: dict[str, Any], document: Document, options: RunOptions) -> int:
    completed = result.status == "completed"
    if not for_people():
        output.emit(shown)
    elif options.trace:
        output.emit_text(output.json_text(shown))
    elif completed:
        output.emit_text(output.json_text(result.output))
    if completed:
        diagnostics.detail(f"completed {result.id}")
        return ExitCode.DONE
    if current().output is OutputFormat.JSONL:
        return ExitCode.FAILED
    raise _failed(result, document, options)


def _failed(result: Result, document: Document, options: RunOptions) -> ExecutionFailedError:
    from flunq.cli.rendering.executions import ending_text

    said = ending_text(result)
    if result.failure is not None and result.failure.instance is not None:
        said += f"\n{_place(result.failure.instance, document, options.name)}"
    return ExecutionFailedError(said, outcome=result.status)


def _place(instance: str, document: Document, name: str) -> str:
    source = document.source
    line, column = source.position(instance, key=True)
    written = source.content.splitlines()[line - 1 : line]
    return f"  source    {name}:{line}:{column}: {''.join(written).strip()}"


def _show_rejection(rejected: _Rejected) -> int:
    from flunq.cli.commands.validate import verdict

    if not for_people():
        output.emit(verdict(list(rejected.problems)))
        return ExitCode.REJECTED
    count = len(rejected.problems)
    what = "1 problem" if count == 1 else f"{count} problems"
    lines = [f"{rejected.name} is rejected: {what}"]
    lines += [problem.text(rejected.name) for problem in rejected.problems]
    hint = next((problem.hint for problem in rejected.problems if problem.hint), None)
    raise RejectedError("\n".join(lines), hint=hint)
