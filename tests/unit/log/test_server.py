from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

import pytest

from flunq.errors import UnavailableError, UsageError
from flunq.log.memory.services import matches
from flunq.log.nats.server import (
    NatsServer,
    find_binary,
    free_ports,
    generate_credentials,
    health,
    parse_version,
    plan_servers,
    render_config,
    require_version,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_strict_means_fsync_before_every_acknowledgement(tmp_path: Path) -> None:
    (strict,) = plan_servers(tmp_path, durability="strict")
    (fast,) = plan_servers(tmp_path, durability="fast")
    assert json.loads(render_config(strict))["jetstream"]["sync_interval"] == "always"
    assert json.loads(render_config(fast))["jetstream"]["sync_interval"] == "100ms"


def test_everything_listens_on_loopback(tmp_path: Path) -> None:
    config = json.loads(render_config(plan_servers(tmp_path)[0]))
    assert config["listen"].startswith("127.0.0.1:")
    assert config["http"].startswith("127.0.0.1:")


@pytest.mark.parametrize(
    "subject",
    [
        "flunq.journal.t.0",
        "flunq.inbox.t.0.eng",
        "flunq.tasks.t.http.e",
        "flunq.evt.t.eng.x",
        "flunq.evt.t.reg.x",
        "flunq.wake.t.0",
        "$JS.API.STREAM.PURGE.FLUNQ_T_JOURNAL",
        "$KV.flunq_tenants.t",
        "_INBOX_engine.x",
    ],
)
def test_clients_may_not_publish_what_is_the_engines(tmp_path: Path, subject: str) -> None:
    (config,) = plan_servers(tmp_path, credentials=generate_credentials())
    users = json.loads(render_config(config))["authorization"]["users"]
    client = next(user for user in users if user["user"] == "client")["permissions"]
    assert any(matches(pattern, "flunq.start.t.0") for pattern in client["publish"])
    assert not any(matches(pattern, subject) for pattern in client["publish"])
    assert not any(matches(pattern, "_INBOX_engine.x") for pattern in client["subscribe"])


def test_credentials_are_fresh_and_do_not_show(tmp_path: Path) -> None:
    one, two = generate_credentials(), generate_credentials()
    assert one.engine_password != two.engine_password
    assert one.engine_password not in repr(one)
    assert len(one.client_password) >= 32


def test_a_cluster_knows_all_its_routes(tmp_path: Path) -> None:
    plan = plan_servers(tmp_path, 3, port=free_ports(1)[0])
    rendered = [json.loads(render_config(config)) for config in plan]
    assert len({config.directory for config in plan}) == 3
    assert len({config["server_name"] for config in rendered}) == 3
    listening = {f"nats://{config['cluster']['listen']}" for config in rendered}
    assert all(set(config["cluster"]["routes"]) == listening for config in rendered)


def test_free_ports_are_distinct() -> None:
    assert len(set(free_ports(20))) == 20


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("nats-server: v2.15.1", (2, 15, 1)),
        ("2.15.1", (2, 15, 1)),
        ("2.16.0-RC.1", (2, 16, 0)),
        ("nonsense", (0, 0, 0)),
    ],
)
def test_versions_are_read(text: str, version: tuple[int, int, int]) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize("old", ["2.15.0", "2.9.99", "1.99.99", ""])
def test_an_old_server_is_refused_with_a_remedy(old: str) -> None:
    with pytest.raises(UnavailableError, match=r"needs 2\.15\.1") as refused:
        require_version(old, "the server")
    assert "pip install" in str(refused.value.hint)


def test_a_server_that_crashes_is_not_called_old() -> None:
    crash = "fatal error: failed to reserve page summary memory\n\nruntime stack:\nruntime.throw"
    with pytest.raises(UnavailableError) as refused:
        require_version(crash, "the server")
    assert refused.value.message == (
        "the server does not tell its version: fatal error: failed to reserve page summary memory"
    )


def test_the_binary_can_be_named(tmp_path: Path) -> None:
    binary = tmp_path / "my-nats"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    assert find_binary({"FLUNQ_NATS_SERVER": str(binary)}) == binary


def test_a_named_binary_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="FLUNQ_NATS_SERVER"):
        find_binary({"FLUNQ_NATS_SERVER": str(tmp_path / "missing")})


def test_the_binary_of_the_wheel_is_found() -> None:
    assert find_binary({"PATH": ""}).name.startswith("nats-server")


async def test_a_server_starts_is_healthy_and_stops(tmp_path: Path) -> None:
    server = NatsServer(plan_servers(tmp_path, credentials=generate_credentials())[0])
    await server.start()
    assert server.pid
    assert (await health(server.monitor_url)).ok
    assert (tmp_path / "nats-1.conf").stat().st_mode & 0o777 == 0o600
    await server.stop()
    assert server.returncode == 0
    assert not (await health(server.monitor_url)).ok


async def test_a_program_that_is_no_server_is_reported(tmp_path: Path) -> None:
    binary = tmp_path / "old-nats"
    binary.write_text("#!/bin/sh\necho nats-server: v2.9.0\n")
    binary.chmod(0o755)
    server = NatsServer(plan_servers(tmp_path)[0], binary=binary)
    with pytest.raises(UnavailableError, match=r"v2\.9\.0"):
        await server.start()


async def test_a_taken_port_is_reported(tmp_path: Path) -> None:
    first = NatsServer(plan_servers(tmp_path / "1")[0])
    await first.start()
    try:
        second = NatsServer(plan_servers(tmp_path / "2", port=first.config.port)[0])
        with pytest.raises(UnavailableError, match="while starting"):
            await second.start()
    finally:
        await first.stop()


async def test_a_server_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, pathlib, sys\n"
        "from flunq.log.nats.server import NatsServer, plan_servers\n"
        "server = NatsServer(plan_servers(pathlib.Path(sys.argv[1]))[0])\n"
        "asyncio.run(server.start())\n"
        "print(server.config.port, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await parent.communicate()
    async with asyncio.timeout(10):
        while await listens(int(output)):
            await asyncio.sleep(0.02)


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
