"""The context of a local cluster: the one that ``flunq up`` writes, and the folder it names."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from flunq.cli import diagnostics
from flunq.config import default_data
from flunq.contexts import ContextStore
from flunq.errors import NotFoundError, UsageError
from flunq.services.supervising.layout import DataDirectory
from flunq.services.supervising.statefile import read_state, running_state

if TYPE_CHECKING:
    from flunq.config import Loaded
    from flunq.contexts import Context

_USUAL = "local"


def folder_of(name: str | None) -> Path | None:
    """Return the data folder of the local cluster that a context of that name leads to."""
    context = _find(name) if name is not None else None
    return Path(context.data_dir) if context is not None and context.data_dir else None


def choose_context(data: Path, name: str | None) -> str:
    """Return the name of the context to write; no other cluster's address is lost silently."""
    directory = DataDirectory(data)
    earlier = read_state(directory)
    chosen = name or (earlier and earlier.context) or _USUAL
    known = _find(chosen)
    if known is None or known.data_dir == str(directory.root):
        return chosen
    if known.data_dir is None:
        raise UsageError(
            f"the context {chosen} leads to another cluster, which this one would replace",
            hint="give this one a name: flunq up --name NAME",
            where=known.nats_url or known.api_url or "",
        )
    if running_state(DataDirectory(Path(known.data_dir))) is not None:
        diagnostics.warn(
            f"the context {chosen} no longer leads to the cluster that runs on {known.data_dir}",
            hint="give each a name of its own: flunq up --name NAME, then -c NAME",
        )
    return chosen


def starting_command(loaded: Loaded) -> str:
    """Return what to type for a cluster on the data folder that a command looked at."""
    data, source = loaded.settings.data, loaded.origins["data"].source
    if source == "context" and loaded.context is not None and data != default_data():
        return f"flunq up --name {loaded.context.name}"
    return f"flunq up --data {shlex.quote(data)}" if source == "flag" else "flunq up"


def _find(name: str) -> Context | None:
    try:
        return ContextStore().get(name)
    except NotFoundError:
        return None
