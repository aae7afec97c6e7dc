"""Real brokers for tests of ``call: asyncapi``: a nats-server that speaks NATS and MQTT."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from flunq.log.nats.server import find_binary
from flunq.services.supervising.network import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_CONFIGURATION = """
host: 127.0.0.1, port: {nats}
server_name: broker
jetstream {{ store_dir: "{folder}/store" }}
mqtt {{ host: 127.0.0.1, port: {mqtt} {mqtt_tls} }}
{tls}
{authorization}
"""


class Broker(NamedTuple):
    """Where a broker listens."""

    nats: int
    mqtt: int


@asynccontextmanager
async def broker(
    folder: Path, *, authorization: str = "", tls: str = "", mqtt_tls: str = ""
) -> AsyncIterator[Broker]:
    """Run a broker while the context is open."""
    nats_port, mqtt_port = free_ports(2)
    configuration = folder / "broker.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            nats=nats_port,
            mqtt=mqtt_port,
            folder=folder,
            authorization=authorization,
            tls=tls,
            mqtt_tls=mqtt_tls,
        )
    )
    process = await asyncio.create_subprocess_exec(
        *(str(find_binary()), "-c", str(configuration)),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        while b"Server is ready" not in (line := await process.stderr.readline()):
            assert line, "the broker did not start"
        draining = asyncio.create_task(process.stderr.read())
        yield Broker(nats_port, mqtt_port)
    finally:
        process.terminate()
        await process.wait()
    await draining
