"""``flunq up --demo``, and ``flunq tui --demo`` in a pipe: a cluster with a workflow to look at."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.cli import diagnostics, output, text
from flunq.cli.session import OutputFormat, current

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.client.client import Client
    from flunq.client.run import Run
    from flunq.core.events import LazyEvent
    from flunq.services.supervising.options import ClusterOptions
    from flunq.services.supervising.statefile import ClusterState
    from flunq.services.supervisor import Supervisor

ORDER = {
    "id": "order-1",
    "lines": [{"sku": "apple", "quantity": 3}, {"sku": "pear", "quantity": 2}],
}
_LOOK_INTERVAL = 0.05
_LIMIT_SECONDS = 40.0


def run_demo(options: ClusterOptions, *, temporary: bool, may_stay: bool = True) -> int:
    """Start a cluster, run the workflow and print its events as they happen."""
    from flunq.cli.commands.up import log_to_file
    from flunq.services.demo import STEPS

    with _folder(options.data, temporary=temporary) as data:
        chosen = msgspec.structs.replace(
            options,
            data=data,
            functions=(*options.functions, STEPS),
        )
        with log_to_file(chosen):
            return asyncio.run(_Demo(chosen, may_stay=may_stay).run())


@contextmanager
def _folder(named: Path, *, temporary: bool) -> Iterator[Path]:
    if not temporary:
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="flunq-demo-") as folder:
        yield Path(folder)


class _Demo:
    """The cluster and the execution in it."""

    def __init__(self, options: ClusterOptions, *, may_stay: bool) -> None:
        self._options = options
        self._stays = (
            may_stay and text.is_terminal(sys.stdout) and current().output is OutputFormat.TABLE
        )
        self._showing: asyncio.Task[None] | None = None
        self._supervisor: Supervisor

    async def run(self) -> int:
        from flunq.services.supervisor import Supervisor

        self._supervisor = Supervisor(self._options)
        await self._supervisor.run(self._on_ready)
        if self._showing is None:
            return 0
        if not self._showing.done():
            self._showing.cancel()
            return 0
        self._showing.result()
        if self._stays:
            diagnostics.say("", "the cluster has stopped")
        return 0

    def _on_ready(self, state: ClusterState) -> None:
        diagnostics.say(
            f"a cluster runs in {state.data}",
            f"api   {state.api.url}",
            f"nats  {state.nats.url}",
            "",
        )
        self._showing = asyncio.create_task(self._show())
        self._showing.add_done_callback(self._on_shown)

    def _on_shown(self, showing: asyncio.Task[None]) -> None:
        failed = not showing.cancelled() and showing.exception() is not None
        if failed or not self._stays:
            self._supervisor.request_stop()

    async def _show(self) -> None:
        from flunq.services.demo import WORKFLOW, document

        async with asyncio.timeout(_LIMIT_SECONDS), _client(self._supervisor) as client:
            applied = await client.apply(document())
            diagnostics.say(f"registered {applied.get('name', WORKFLOW)}; its events:")
            run = await client.start(WORKFLOW, ORDER)
            await _print_events(run)
            result = await run.wait(timeout=_LIMIT_SECONDS)
        diagnostics.say("", f"{run.id} {result.status}: {output.compact_json(result.output)}")
        if self._stays:
            diagnostics.say("", "the cluster stays up; Ctrl-C stops it")


def _client(supervisor: Supervisor) -> Client:
    from flunq.client.client import Client
    from flunq.log.select import StreamSettings, event_stream
    from flunq.services.supervising.secrets import load_secrets

    options, state = supervisor.options, supervisor.state
    nats = load_secrets(supervisor.directory.credentials, tenant=options.tenant).nats
    user, password = nats.client_user, nats.client_password
    if state.nats.external:
        user, password = options.nats_user or "", options.nats_password or ""
    stream = event_stream(
        StreamSettings(
            url=state.nats.url,
            tenant=options.tenant,
            user=user or None,
            password=password or None,
            name="flunq up --demo",
        )
    )
    return Client(stream, tenant=options.tenant)


async def _print_events(run: Run) -> None:
    from flunq.core.events import TERMINAL_TYPES

    printed = output.Lines(_readable)
    seen = 0
    while True:
        async for event in run.history():
            if event.seq <= seen:
                continue
            seen = event.seq
            printed.write(_as_data(event))
            if event.type in TERMINAL_TYPES:
                return
        await asyncio.sleep(_LOOK_INTERVAL)


def _as_data(event: LazyEvent) -> dict[str, Any]:
    members: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))
    return members


def _readable(event: Any) -> str:
    kind = str(event["type"]).removeprefix("io.serverlessworkflow.").removesuffix(".v1")
    stamp = str(event["time"])[11:23]
    style = text.status_style(kind.rpartition(".")[2])
    data = event.get("data")
    task = data.get("task") or data.get("reference") if isinstance(data, dict) else None
    name = text.neutralise(str(task)) if task else ""
    line = f"{stamp}  {event['seq']:>3}  {text.paint(f'{kind:22}', style, sys.stdout)}  {name}"
    return line.rstrip()
