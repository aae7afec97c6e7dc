"""Whether ``flunq run`` uses the cluster that runs or one of its own."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flunq.cli import diagnostics
from flunq.cli.session import current, settings
from flunq.errors import UsageError

if TYPE_CHECKING:
    from flunq.cli.running_documents import RunOptions
    from flunq.config import Loaded

_PATIENCE = 0.5
_DEFAULT_PORT = 4222
_DELIBERATE = ("flag", "environment", "project")


def is_private(options: RunOptions) -> bool:
    """Decide from the options and, without any, from whether the local cluster runs."""
    only_private = [
        name
        for name, given in (("--functions", options.functions), ("--secrets", options.secrets))
        if given
    ]
    if options.private is False:
        if only_private:
            raise UsageError(
                f"{only_private[0]} works with a private cluster only",
                hint="give functions and secrets to the cluster: flunq up --functions FILE",
            )
        return False
    if options.private or only_private:
        return True
    if options.detach:
        return False
    return not _cluster_runs(settings())


def _cluster_runs(loaded: Loaded) -> bool:
    """Look for the selected cluster; one that was named on purpose has to be there."""
    url = loaded.settings.nats_url
    named = loaded.origins["nats_url"].source in _DELIBERATE or current().context is not None
    if named or loaded.origins["context"].source in _DELIBERATE:
        return True
    if url is None:
        return False
    context = loaded.context
    # Only `flunq up` notes the data folder: other people's clusters do not come and go.
    if context is None or context.data_dir is None:
        return True
    if any(_listening(each) for each in url.split(",")):
        return True
    name = context.name
    diagnostics.say(
        f"the cluster of context {name} does not run: this uses a private one (start it: flunq up)"
    )
    return False


def _listening(url: str) -> bool:
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    try:
        with socket.create_connection(
            (parts.hostname or "127.0.0.1", parts.port or _DEFAULT_PORT), timeout=_PATIENCE
        ):
            return True
    except OSError:
        return False
