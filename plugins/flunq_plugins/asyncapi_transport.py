"""What a protocol has to do for ``call: asyncapi``, and what all protocols share."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from flunq.sdk.executor import TaskError
from flunq.sdk.web.addresses import checked_addresses
from flunq_plugins.asyncapi_access import Access
from flunq_plugins.asyncapi_server import Target

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from flunq.sdk.context import TaskContext
    from flunq_plugins.asyncapi_message import Inbound, Outbound

CONNECT_TIMEOUT = 10.0
_TLS = "asyncapi.tls"
_MODULES = {
    "http": ("flunq_plugins.asyncapi_http", ""),
    "nats": ("flunq_plugins.asyncapi_nats", ""),
    "ws": ("flunq_plugins.asyncapi_ws", "ws"),
    "mqtt": ("flunq_plugins.asyncapi_mqtt", "mqtt"),
}
"""The module of a protocol, and the extra of flunq that installs what it needs."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where messages go to or come from."""

    target: Target
    access: Access
    bindings: dict[str, Any]
    """Of the protocol."""

    def unreachable(self, error: BaseException | str) -> TaskError:
        """Return the error for a server that cannot be talked to."""
        reason = str(error) or type(error).__name__
        return TaskError("communication", 503, detail=f"{self.target.where}: {reason}"[:500])

    def broken(self, error: BaseException | str) -> TaskError:
        """Return the error for a connection that ended."""
        reason = str(error) or type(error).__name__
        detail = f"{self.target.where}: the connection broke: {reason}"
        return TaskError("communication", 502, detail=detail[:500])


class Transport(Protocol):
    """One protocol."""

    async def publish(self, route: Route, message: Outbound, context: TaskContext) -> None:
        """Send one message and wait until the server has it, as far as the protocol can tell."""
        ...

    def subscribe(
        self, route: Route, context: TaskContext
    ) -> AbstractAsyncContextManager[AsyncIterator[Inbound]]:
        """Receive messages while the block is open; the iteration ends only with an error."""
        ...


async def transport_for(protocol: str) -> Transport:
    """Return the transport of a protocol; raises a ``configuration`` TaskError without one."""
    if protocol not in _MODULES:
        known = ", ".join(sorted(_MODULES))
        raise _unavailable(f"call: asyncapi speaks {known}, not {protocol or 'nothing'}")
    name, extra = _MODULES[protocol]
    try:
        # Importing takes too long for the loop.
        module = await asyncio.to_thread(import_module, name)
    except ImportError as error:
        remedy = f"pip install 'flunq[{extra}]'" if extra else "pip install flunq"
        raise _unavailable(f"{protocol} needs {error.name}: {remedy}") from error
    transport: Transport = module.TRANSPORT
    return transport


def _unavailable(problem: str) -> TaskError:
    return TaskError("configuration", 400, "The protocol cannot be used", problem)


async def addresses(route: Route, context: TaskContext) -> list[str]:
    """Return the addresses of the server that may be connected to."""
    target = route.target
    return await checked_addresses(target.host, target.port, context.settings.egress)


async def tls_context(context: TaskContext) -> ssl.SSLContext:
    """Return the TLS context of this process, which trusts what HTTP calls trust."""
    kept = context.shared.kept
    if _TLS not in kept:
        httpx = await asyncio.to_thread(import_module, "httpx")
        kept[_TLS] = await asyncio.to_thread(httpx.create_ssl_context)
    return cast("ssl.SSLContext", kept[_TLS])
