"""``flunq down``: stop the local cluster."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flunq.cli import diagnostics, output
from flunq.cli.options import parse_duration
from flunq.cli.progress import progress
from flunq.cli.session import OutputFormat, current, settings
from flunq.errors import NotFoundError, WaitTimeoutError

if TYPE_CHECKING:
    from flunq.services.supervising.layout import DataDirectory
    from flunq.services.supervising.statefile import ClusterState

_LOOK_INTERVAL = 0.05


def command(
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Data folder of the cluster.")
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            parser=parse_duration,
            metavar="30s",
            help="Wait no longer [30s].",
            show_default=False,
        ),
    ] = 30.0,
) -> int:
    """Stop the local cluster: running tasks are finished first, as far as time allows.

    $ flunq down

    $ flunq down --data ./data
    """
    from flunq.cli.cluster_context import starting_command
    from flunq.services.supervising.layout import DataDirectory
    from flunq.services.supervising.statefile import running_state

    loaded = settings(data=data and str(data))
    directory = DataDirectory(Path(loaded.settings.data))
    state = running_state(directory)
    if state is None:
        hint = f"{starting_command(loaded)} starts one"
        raise NotFoundError(f"no cluster runs on {directory.root}", hint=hint)
    _end(directory, state, timeout)
    if current().output is OutputFormat.TABLE:
        diagnostics.say(f"the cluster on {directory.root} has stopped; its data stays")
    else:
        output.emit({"status": "stopped", "data": str(directory.root), "pid": state.pid})
    return 0


def _end(directory: DataDirectory, state: ClusterState, limit: float) -> None:
    from flunq.services.supervising.layout import is_locked
    from flunq.services.supervising.statefile import read_state

    try:
        os.kill(state.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    deadline = time.monotonic() + limit
    with progress("stopping the cluster") as shown:
        while is_locked(directory):
            if time.monotonic() > deadline:
                raise WaitTimeoutError(
                    f"the cluster (pid {state.pid}) still runs after {limit:g} s",
                    hint="wait longer with --timeout 2m, or end the process",
                )
            now = read_state(directory) or state
            waiting = [each.name for each in now.services if each.state != "stopped"]
            shown.update(f"stopping the cluster: waiting for {', '.join(waiting)}")
            time.sleep(_LOOK_INTERVAL)
