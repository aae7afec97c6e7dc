"""Who of a running cluster answers, whatever its supervisor knows."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from flunq.services.diagnosis.cluster import check_api, check_services
from flunq.services.supervising import heard
from flunq.services.supervising.heard import NO_ANSWER, heard_of
from flunq.services.supervising.statefile import ClusterState, Endpoint, NatsEndpoint, ServiceStatus
from tests.support.cluster_state import cluster_state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

METRICS = """\
flunq_up{service="control",node="control"} 1
flunq_up{service="node",node="node-1"} 1
"""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heard, "_ASK_AGAIN_AFTER", 0.01)
    monkeypatch.setattr(heard, "_PATIENCE", 0.2)


@asynccontextmanager
async def answering(body: str | None, *, status: int = 200) -> AsyncIterator[str]:
    """Serve one body for every request; None is a process that hangs."""

    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        if body is not None:
            head = (
                f"HTTP/1.1 {status} x\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            writer.write((head + body).encode())
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()


def cluster(api: str, monitor: str, *, since: float = 0.0) -> ClusterState:
    names = ("nats", "control", "node-1", "node-2")
    services = [ServiceStatus(name=name, pid=7, state="ready", since=since) for name in names]
    nats = NatsEndpoint(url="", monitors=[monitor])
    return cluster_state(*services, api=Endpoint(url=api), nats=nats)


def unhealthy(state: ClusterState) -> dict[str, str | None]:
    return {each.name: each.reason for each in state.services if each.state == "unhealthy"}


async def test_a_node_that_hangs_is_unhealthy() -> None:
    async with answering(METRICS) as api, answering('{"status":"ok"}') as monitor:
        found = await heard_of(cluster(api, monitor))
    assert unhealthy(found.state) == {"node-2": NO_ANSWER}
    assert found.archives == []
    (check,) = check_services(found.state)
    assert (check.status, "kill -9 7" in (check.remedy or "")) == ("fail", True)


async def test_of_a_control_process_that_hangs_nothing_is_concluded_about_nodes() -> None:
    async with answering(None) as api, answering('{"status":"ok"}') as monitor:
        found = await heard_of(cluster(api, monitor))
    assert unhealthy(found.state) == {"control": NO_ANSWER}
    assert found.archives is None


async def test_a_server_with_a_full_disk_is_unhealthy_although_nobody_could_write_that() -> None:
    both = METRICS + METRICS.replace("node-1", "node-2")
    full = '{"status":"unavailable","error":"no space left on device"}'
    async with answering(both) as api, answering(full, status=503) as monitor:
        found = await heard_of(cluster(api, monitor))
    assert unhealthy(found.state) == {"nats": "no space left on device"}


async def test_who_has_just_become_ready_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1000.0)
    async with answering(METRICS) as api, answering('{"status":"ok"}') as monitor:
        found = await heard_of(cluster(api, monitor, since=998.0))
    assert unhealthy(found.state) == {}


async def test_an_api_that_hangs_timed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("flunq.services.diagnosis.cluster.http_get", hangs)
    check = await check_api("http://127.0.0.1:1")
    assert check.value.endswith("does not answer: timed out")
