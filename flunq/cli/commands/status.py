"""``flunq status``: the health of every part of the cluster."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flunq.cli import output, text
from flunq.cli.exits import ExitCode
from flunq.cli.options import WatchOption  # noqa: TC001 - Typer reads annotations
from flunq.cli.session import OutputFormat, current, settings
from flunq.errors import UnavailableError

if TYPE_CHECKING:
    from flunq.config import Loaded
    from flunq.services.supervising.layout import DataDirectory
    from flunq.services.supervising.statefile import ClusterState

_WATCH_INTERVAL = 1.0


def command(
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Data folder of the cluster.")
    ] = None,
    watch: WatchOption = False,
) -> int:
    """Show the health of every part of the cluster.

    $ flunq status

    $ flunq status -o json | jq .services

    Exit code 0: everything is ready; 1: something is not; 6: no cluster runs.
    """
    from flunq.services.supervising.layout import DataDirectory

    loaded = settings(data=data and str(data))
    directory = DataDirectory(Path(loaded.settings.data))
    state = _find(directory, loaded, here=data is not None)
    if watch:
        return _watch(directory, state)
    return _exit_code(_show(state))


def _find(directory: DataDirectory, loaded: Loaded, *, here: bool) -> ClusterState:
    from flunq.cli.cluster_context import starting_command
    from flunq.services.supervising.remote import remote_state
    from flunq.services.supervising.statefile import read_state, running_state

    context = loaded.context
    if not here and context is not None and context.data_dir is None and context.api_url:
        return remote_state(context)
    state = running_state(directory)
    if state is not None:
        return state
    earlier = read_state(directory)
    died = earlier is not None and earlier.status != "not running"
    ending = f"; the one with pid {earlier.pid} was killed" if earlier is not None and died else ""
    raise UnavailableError(
        f"no cluster runs on {directory.root}{ending}",
        hint=f"{starting_command(loaded)} starts one",
        data=str(directory.root),
    )


def _show(state: ClusterState) -> ClusterState:
    """Print how everything is, as all of it answers now; returns that."""
    from flunq.cli.cluster_view import head_lines, service_table
    from flunq.cli.commands.up import as_data
    from flunq.services.supervising.archive import archive_line
    from flunq.services.supervising.heard import heard_of

    heard = asyncio.run(heard_of(state))
    state, archives = heard.state, heard.archives
    if current().output is not OutputFormat.TABLE:
        import msgspec

        output.emit({**as_data(state), "archives": msgspec.to_builtins(archives or [])})
        return state
    rows = [("status", state.status), *head_lines(state), ("archive", archive_line(archives))]
    head = [f"{name.ljust(12)}{value}" for name, value in rows]
    output.emit_text("\n".join(map(text.neutralise, head)))
    if state.services:
        output.emit_text("\n" + "\n".join(service_table(state)))
    return state


def _exit_code(state: ClusterState) -> int:
    ready = state.status == "ready" and all(each.state == "ready" for each in state.services)
    return ExitCode.DONE if ready else ExitCode.FAILED


def _watch(directory: DataDirectory, state: ClusterState | None) -> int:
    import flunq
    from flunq.cli.cluster_view import LiveStatus, PlainStatus
    from flunq.services.supervising.statefile import running_state

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    live = text.is_terminal(sys.stderr)
    view = LiveStatus(flunq.__version__) if live else PlainStatus()
    try:
        while state is not None:
            view.show(state)
            time.sleep(_WATCH_INTERVAL)
            state = running_state(directory)
    except KeyboardInterrupt:
        return ExitCode.DONE
    finally:
        view.close()
    raise UnavailableError(f"the cluster on {directory.root} has ended", hint="flunq up")
