"""What can be told about a cluster on another machine: whether its API is ready."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import msgspec

from flunq.errors import UnavailableError
from flunq.services.supervising.network import http_get
from flunq.services.supervising.statefile import ClusterState, Endpoint, NatsEndpoint, ServiceStatus

if TYPE_CHECKING:
    from flunq.contexts import Context


class _Readiness(msgspec.Struct):
    status: str = ""
    problems: dict[str, str] = {}


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno).lower()
    return str(error) or "timed out"


def remote_state(context: Context) -> ClusterState:
    """Ask the API of a context's cluster how it is."""
    url = context.api_url or ""
    try:
        status, body = asyncio.run(http_get(f"{url}/readyz", within=5.0, ca=context.ca))
        answer = msgspec.json.decode(body, type=_Readiness)
    except (OSError, TimeoutError, msgspec.DecodeError) as error:
        raise UnavailableError(
            f"{url} does not answer: {_why(error)}",
            hint=f"check the context: flunq context show {context.name}",
            where=f"context {context.name}",
        ) from error
    reason = "; ".join(answer.problems.values()) or None
    api = ServiceStatus(
        name="api", pid=None, state="ready" if status == 200 else "unhealthy", reason=reason
    )
    return ClusterState(
        status="ready",
        pid=0,
        started_at=0.0,
        data="",
        durability="external",
        api=Endpoint(url=url),
        nats=NatsEndpoint(url=context.nats_url or "", external=True),
        services=[api],
        context=context.name,
    )
