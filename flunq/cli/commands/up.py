"""``flunq up``: start a local cluster."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import diagnostics, output, text
from flunq.cli.options import BodyLimitOption, CorsOption  # noqa: TC001 - Typer reads them
from flunq.cli.session import OutputFormat, current, settings
from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.config import Loaded
    from flunq.services.supervising.options import ClusterOptions
    from flunq.services.supervising.statefile import ClusterState
    from flunq.services.supervisor import Supervisor

_REDRAW_SECONDS = 1.0

DataOption = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Data folder of the cluster.")
]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="Context that leads to the cluster [as the last time, at first local].",
    ),
]
DetachOption = Annotated[
    bool, typer.Option("--detach", help="Return once the cluster is ready; it goes on.")
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", metavar="N", help="Engine nodes [cores - 1].")
]
DurabilityOption = Annotated[
    str | None,
    typer.Option("--durability", metavar="strict|fast", help="When data is fsynced [strict]."),
]
FunctionsOption = Annotated[
    list[str] | None,
    typer.Option("--functions", metavar="MODULE|FILE", help="Python functions; repeatable."),
]
NatsOption = Annotated[
    str | None,
    typer.Option(
        "--nats", metavar="URL", help="Use this NATS, start none.", rich_help_panel="Connection"
    ),
]
NodesOption = Annotated[
    int | None, typer.Option("--nodes", metavar="1|3|5", help="NATS servers [1].")
]
PartitionsOption = Annotated[
    int | None,
    typer.Option(
        "--partitions",
        min=1,
        max=256,
        metavar="N",
        help="Partitions of a new tenant, fixed for ever: no more nodes than that share its work "
        "[1 for one node, 8 and more for several].",
    ),
]
ReplicasOption = Annotated[
    int | None, typer.Option("--replicas", metavar="N", help="Copies of each stream.")
]
ApiPortOption = Annotated[
    int | None, typer.Option("--api-port", "--port", metavar="PORT", help="Port of the API.")
]
NatsPortOption = Annotated[
    int | None, typer.Option("--nats-port", metavar="PORT", help="Port of nats-server.")
]
TlsOption = Annotated[
    bool | None,
    typer.Option("--tls/--no-tls", help="API and NATS by TLS, with a CA of the data folder [no]."),
]
EncryptOption = Annotated[
    bool | None,
    typer.Option("--encrypt", help="Encrypt what is stored, from now on [no]."),
]
CollectorOption = Annotated[
    str | None,
    typer.Option("--otel-endpoint", metavar="URL", help="Send traces to this OTLP collector."),
]
DemoOption = Annotated[
    bool, typer.Option("--demo", help="In a temporary folder, with a workflow to look at.")
]


def command(
    detach: DetachOption = False,
    data: DataOption = None,
    name: NameOption = None,
    workers: WorkersOption = None,
    durability: DurabilityOption = None,
    functions: FunctionsOption = None,
    nats: NatsOption = None,
    nodes: NodesOption = None,
    replicas: ReplicasOption = None,
    partitions: PartitionsOption = None,
    api_port: ApiPortOption = None,
    nats_port: NatsPortOption = None,
    tls: TlsOption = None,
    encrypt: EncryptOption = None,
    cors_origin: CorsOption = None,
    body_limit: BodyLimitOption = None,
    otel_endpoint: CollectorOption = None,
    demo: DemoOption = False,
) -> int:
    """Start a local cluster and show its state until Ctrl-C.

    $ flunq up

    $ flunq up --detach --data ./data --functions shop/steps.py

    $ flunq up --nodes 3 --workers 2

    $ flunq up --detach --data ./second --name second

    Ports are free ones unless named. The context "local", or the one named, is written and
    selected, so that every other command finds the cluster.
    """
    loaded = settings(
        data=data and str(data),
        workers=workers,
        durability=durability,
        functions=tuple(functions) if functions else None,
        nats_url=nats,
        nodes=nodes,
        replicas=replicas,
        partitions=partitions,
        api_port=api_port,
        nats_port=nats_port,
        tls=tls,
        encrypt=encrypt,
        cors_origins=tuple(cors_origin) if cors_origin else None,
        body_limit=body_limit and body_limit << 20,
    )
    _trace_to(otel_endpoint)
    if demo and detach:
        raise _demo_and_detach()
    options = _options(loaded, name or current().context, temporary=demo and data is None)
    if demo:
        from flunq.cli.cluster_demo import run_demo

        return run_demo(options, temporary=data is None)
    return start_detached(options) if detach else run_attached(options)


def _demo_and_detach() -> UsageError:
    return UsageError(
        "--demo ends with its cluster, --detach leaves one behind",
        hint="flunq up --detach, then: flunq run FILE",
    )


def _options(loaded: Loaded, name: str | None, *, temporary: bool) -> ClusterOptions:
    from flunq.cli.cluster_context import choose_context, folder_of
    from flunq.config import default_data
    from flunq.services.identity.settings import identity_settings
    from flunq.services.supervising.options import ClusterOptions

    chosen = loaded.settings

    def own(name: str, otherwise: Any = None) -> Any:
        """A context describes a cluster that exists, not the one to start."""
        from_context = loaded.origins[name].source == "context"
        return otherwise if from_context else getattr(chosen, name)

    data = Path(own("data", default_data()))
    if loaded.origins["data"].source != "flag":
        data = folder_of(name) or data
    return ClusterOptions(
        data=data,
        context=None if temporary else choose_context(data, name),
        workers=chosen.workers,
        durability=chosen.durability,
        functions=tuple(_absolute(named) for named in chosen.functions),
        nats_url=own("nats_url"),
        nats_user=os.environ.get("FLUNQ_NATS_USER"),
        nats_password=os.environ.get("FLUNQ_NATS_PASSWORD"),
        nodes=chosen.nodes,
        replicas=chosen.replicas,
        nats_port=chosen.nats_port,
        api_port=chosen.api_port,
        nats_server=chosen.nats_server,
        tenant=own("tenant", "default"),
        partitions=chosen.partitions,
        worker_concurrency=chosen.worker_concurrency,
        drain_timeout=chosen.drain_timeout,
        lease_ttl=chosen.lease_ttl,
        profile="production" if chosen.egress == "restricted" else "development",
        programs=chosen.programs,
        program_memory=chosen.program_memory,
        blob_threshold=chosen.blob_threshold,
        retention_after=chosen.retention_after,
        retention_keep=chosen.retention_keep,
        tls=chosen.tls,
        hosts=chosen.tls_hosts,
        encrypt=chosen.encrypt,
        identity=identity_settings(chosen),
        cors_origins=chosen.cors_origins,
        body_limit=chosen.body_limit,
        log_level=chosen.log_level,
    )


def _trace_to(endpoint: str | None) -> None:
    """Check where traces go to; the processes of the cluster read it where others do."""
    from flunq.telemetry.otlp import ENDPOINT, TRACES_ENDPOINT, trace_settings

    if endpoint is not None:
        os.environ[ENDPOINT] = endpoint
        os.environ.pop(TRACES_ENDPOINT, None)  # it would count more than what was said here
    trace_settings(os.environ)


def _absolute(named: str) -> str:
    is_file = named.endswith(".py") or os.sep in named
    return str(Path(named).absolute()) if is_file else named


def run_attached(options: ClusterOptions) -> int:
    """Run the cluster as this process, showing its state."""
    with log_to_file(options):
        asyncio.run(_show_until_stopped(options))
    return 0


@contextmanager
def log_to_file(options: ClusterOptions) -> Iterator[None]:
    """Keep the supervisor's log off the terminal, which belongs to the live status."""
    from flunq.services.supervising.layout import DataDirectory
    from flunq.telemetry.logs import configure_logging

    directory = DataDirectory(options.data)
    directory.create()
    with directory.log_file("supervisor").open("a", encoding="utf-8") as log:
        configure_logging(level=options.log_level, stream=log)
        yield


async def _show_until_stopped(options: ClusterOptions) -> None:
    import flunq
    from flunq.cli.cluster_view import LiveStatus, PlainStatus
    from flunq.services.supervisor import Supervisor

    live = _may_draw()
    view = LiveStatus(flunq.__version__) if live else PlainStatus()
    supervisor = Supervisor(options, changed=view.show)
    drawing = (
        asyncio.create_task(_redraw(supervisor, view)) if isinstance(view, LiveStatus) else None
    )
    try:
        await supervisor.run(lambda state: announce(state, live=live))
    finally:
        if drawing is not None:
            drawing.cancel()
        view.close()


def _may_draw() -> bool:
    session = current()
    if session.quiet or session.output is not OutputFormat.TABLE:
        return False
    return text.is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"


async def _redraw(supervisor: Supervisor, view: Any) -> None:
    from flunq.services.supervising.rates import MessageRates

    rates = MessageRates()
    while True:
        await asyncio.sleep(_REDRAW_SECONDS)
        view.rates = await rates.read(supervisor.state.nats.monitors)
        view.show(supervisor.state)


def announce(state: ClusterState, *, live: bool = False) -> None:
    """Print where the cluster is, as data for whoever started it."""
    if current().output is not OutputFormat.TABLE:
        output.emit(as_data(state))
    elif not live:
        output.emit(None, plain=f"api   {state.api.url}\nnats  {state.nats.url}")
        diagnostics.say(*_welcome(state))


def _welcome(state: ClusterState) -> list[str]:
    from flunq.cli.cluster_view import durability_in_words

    return [
        f"ready; durability {durability_in_words(state.durability)}",
        "next: flunq run FILE, flunq status, flunq down",
    ]


def as_data(state: ClusterState) -> dict[str, Any]:
    """Return the state as ``-o json`` shows it."""
    import msgspec

    members: dict[str, Any] = msgspec.to_builtins(state)
    return members


def start_detached(options: ClusterOptions) -> int:
    """Start the cluster in the background and return once it is ready."""
    from flunq.cli.progress import progress
    from flunq.services.supervising.detach import start_in_background

    with start_in_background(options) as background:
        with progress("starting the cluster") as shown:
            state = background.until_ready(
                lambda state: shown.update(f"starting the cluster: {_waiting_for(state)}")
            )
        announce(state)
    return 0


def _waiting_for(state: ClusterState) -> str:
    if state.status == "stopping":
        return "something is wrong, stopping again"
    waiting = [service.name for service in state.services if service.state != "ready"]
    return f"waiting for {', '.join(waiting)}" if waiting else "ready"
