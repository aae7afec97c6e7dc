"""How the processes of a running cluster answer, beside what their supervisor knows of them.

A process that hangs runs all the same, and on a full disk the supervisor cannot write what it
knows: only asking everybody shows it.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

import msgspec

from flunq.services.supervising.archive import ArchiveState, parse_archives
from flunq.services.supervising.health import catching_up, health_problem
from flunq.services.supervising.network import http_get
from flunq.services.supervising.statefile import ClusterState

if TYPE_CHECKING:
    from flunq.services.supervising.statefile import ServiceStatus

NO_ANSWER = "it runs, but does not answer"
_PATIENCE = 2.0
_SETTLED_SECONDS = 5.0
"""Nobody is expected to be heard of earlier."""
_ASK_AGAIN_AFTER = 1.5
_UP = re.compile(r'^flunq_up\{(?:[^}]*,)?node="([^"]*)"[^}]*\} 1', re.MULTILINE)


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What the processes answered."""

    state: ClusterState
    """As the supervisor has it, with those unhealthy that do not answer."""
    archives: list[ArchiveState] | None
    """None: nobody could be asked."""


async def heard_of(state: ClusterState) -> Heard:
    """Ask all processes of a cluster; silent is who does not answer a second time either."""
    heard, silent = await _ask(state)
    if silent:
        await asyncio.sleep(_ASK_AGAIN_AFTER)
        heard, again = await _ask(state)
        silent = {name: why for name, why in again.items() if name in silent}
    return Heard(state=_corrected(state, silent), archives=heard)


async def _ask(state: ClusterState) -> tuple[list[ArchiveState] | None, dict[str, str]]:
    monitors = state.nats.monitors
    exposition, *problems = await asyncio.gather(
        _metrics(state), *(health_problem(monitor, within=_PATIENCE) for monitor in monitors)
    )
    # Servers come first among the services, in the order of their monitors.
    names = [service.name for service in state.services]
    silent = {
        name: why
        for name, why in zip(names, problems, strict=False)
        if why is not None and not catching_up(why)
    }
    others = set(names[len(monitors) :])
    if exposition is None:
        # Only the control process knows of the nodes.
        silent |= dict.fromkeys(others & {"control"}, NO_ANSWER)
        return None, silent
    unheard = others - set(_UP.findall(exposition)) - {"control", "api"}
    return parse_archives(exposition), silent | dict.fromkeys(unheard, NO_ANSWER)


async def _metrics(state: ClusterState) -> str | None:
    try:
        status, body = await http_get(f"{state.api.url}/metrics", within=_PATIENCE, ca=state.api.ca)
    except (OSError, TimeoutError):
        return None
    return body.decode(errors="replace") if status == 200 else None


def _corrected(state: ClusterState, silent: dict[str, str]) -> ClusterState:
    return msgspec.structs.replace(
        state, services=[_with(service, silent.get(service.name)) for service in state.services]
    )


def _with(service: ServiceStatus, problem: str | None) -> ServiceStatus:
    settled = time.time() - service.since > _SETTLED_SECONDS
    if problem is None or service.state != "ready" or not settled:
        return service
    return msgspec.structs.replace(service, state="unhealthy", reason=problem)
