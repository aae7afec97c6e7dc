"""The supervisor with a real nats-server and real child processes that do no work."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nats
import nats.errors
import pytest

from flunq.errors import RejectedError, UnavailableError, UsageError
from flunq.log.nats.server import find_binary, free_ports
from flunq.services.supervising import layout
from flunq.services.supervising.layout import DataDirectory, DirectoryInUseError
from flunq.services.supervising.network import http_get
from flunq.services.supervising.options import ClusterOptions
from flunq.services.supervising.secrets import load_secrets
from flunq.services.supervising.statefile import ClusterState, ServiceStatus, read_state
from flunq.services.supervisor import Supervisor
from tests.support.waiting import eventually, is_alive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from nats.js import JetStreamContext

FAKE = Path(__file__).parents[1] / "support" / "fake_service.py"
pytestmark = pytest.mark.timeout(60)


def options(data: Path, **changes: object) -> ClusterOptions:
    program = (sys.executable, "-P", str(FAKE))
    members = {"data": data, "program": program, "context": None, "drain_timeout": 2.0, **changes}
    return ClusterOptions(**members)  # type: ignore[arg-type]


@asynccontextmanager
async def running(chosen: ClusterOptions) -> AsyncIterator[Supervisor]:
    """Run a cluster while the block runs; what keeps it from running is raised here."""
    supervisor = Supervisor(chosen)
    ready = asyncio.Event()
    task = asyncio.create_task(supervisor.run(lambda _: ready.set()))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        if not task.done():
            yield supervisor
    finally:
        supervisor.request_stop()
        await task


@asynccontextmanager
async def client(supervisor: Supervisor) -> AsyncIterator[JetStreamContext]:
    """Talk to the cluster's server as the engine does."""
    secrets = load_secrets(supervisor.directory.credentials, tenant="default").nats
    connection = await nats.connect(
        supervisor.state.nats.url,
        user=secrets.engine_user,
        password=secrets.engine_password,
        inbox_prefix=b"_INBOX_engine",
    )
    try:
        yield connection.jetstream()
    finally:
        await connection.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def service(state: ClusterState, name: str) -> ServiceStatus:
    return next(each for each in state.services if each.name == name)


async def test_a_cluster_starts_everything_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running(options(tmp_path, workers=2)) as supervisor:
        state = supervisor.state
        assert [each.name for each in state.services] == ["nats", "control", "node-1", "node-2"]
        assert {each.state for each in state.services} == {"ready"}
        pids = [each.pid for each in state.services if each.pid]
        status, _ = await http_get(f"{state.api.url}/livez")
        assert status == 200
    assert not any(is_alive(pid) for pid in pids)
    assert supervisor.state.status == "not running"


async def test_nobody_is_given_up_while_the_server_takes_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("FLUNQ_FAKE", json.dumps({"node-1": f"needs{port}"}))
    go, slow = tmp_path / "go", tmp_path / "slow-nats"
    slow.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] || while [ ! -e {go} ]; do sleep 0.05; done\n'
        f'exec {find_binary()} "$@"\n'
    )
    slow.chmod(0o755)
    chosen = options(tmp_path / "data", nats_server=str(slow), nats_port=port)
    supervisor = Supervisor(chosen)
    ready = asyncio.Event()
    task = asyncio.create_task(supervisor.run(lambda _: ready.set()))
    try:
        await eventually(lambda: _states(supervisor).get("node-1") == "backoff")
        go.touch()
        async with asyncio.timeout(20):
            await ready.wait()
        assert service(supervisor.state, "node-1").restarts == 0
    finally:
        supervisor.request_stop()
        await task


def _states(supervisor: Supervisor) -> dict[str, str]:
    state = read_state(supervisor.directory)
    return {each.name: each.state for each in state.services} if state else {}


async def test_a_killed_child_comes_back_and_the_reason_is_told(tmp_path: Path) -> None:
    async with running(options(tmp_path)) as supervisor:
        before = service(supervisor.state, "node-1")
        assert before.pid is not None
        os.kill(before.pid, signal.SIGKILL)
        await eventually(lambda: service(supervisor.state, "node-1").restarts == 1)
        await eventually(lambda: service(supervisor.state, "node-1").state == "ready")
        after = service(supervisor.state, "node-1")
    assert after.pid != before.pid
    assert after.reason == "killed by SIGKILL"


async def test_a_killed_server_comes_back_on_the_same_address(tmp_path: Path) -> None:
    async with running(options(tmp_path)) as supervisor:
        url, before = supervisor.state.nats.url, service(supervisor.state, "nats")
        assert before.pid is not None
        os.kill(before.pid, signal.SIGKILL)
        await eventually(lambda: service(supervisor.state, "nats").restarts == 1)
        await eventually(lambda: service(supervisor.state, "nats").state == "ready")
        assert supervisor.state.nats.url == url


async def test_requests_wait_while_the_api_is_restarted(tmp_path: Path) -> None:
    async with running(options(tmp_path)) as supervisor:
        control = service(supervisor.state, "control")
        assert control.pid is not None
        os.kill(control.pid, signal.SIGKILL)
        await eventually(lambda: not is_alive(control.pid or 0))
        status, _ = await http_get(f"{supervisor.state.api.url}/livez", within=15.0)
    assert status == 200


async def test_a_second_cluster_on_the_same_data_is_refused_with_the_first_one_s_name(
    tmp_path: Path,
) -> None:
    async with running(options(tmp_path)) as first:
        with pytest.raises(DirectoryInUseError) as refusal:
            await Supervisor(options(tmp_path)).run()
        assert str(os.getpid()) in refusal.value.message
        assert first.state.api.url in refusal.value.message
        assert f"flunq down --data {first.directory.root} " in str(refusal.value.hint)
        assert refusal.value.exit_code == 2


async def test_addresses_and_secrets_survive_a_restart_of_the_cluster(tmp_path: Path) -> None:
    async with running(options(tmp_path)) as supervisor:
        first = supervisor.state
    secrets = DataDirectory(tmp_path).credentials.read_bytes()
    async with running(options(tmp_path)) as supervisor:
        second = supervisor.state
    assert (first.nats.url, first.api.url) == (second.nats.url, second.api.url)
    assert DataDirectory(tmp_path).credentials.read_bytes() == secrets


async def test_secrets_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    async with running(options(tmp_path)) as supervisor:
        files = list(DataDirectory(tmp_path).run.iterdir())
        password = supervisor.plan.services[0].command
        for path in files:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        for each in supervisor.state.services:
            line = Path(f"/proc/{each.pid}/cmdline").read_bytes()
            assert b"password" not in line
        assert password.argv[1] == "--config"
    assert stat.S_IMODE(tmp_path.joinpath("run").stat().st_mode) == 0o700


async def test_strict_durability_is_what_the_server_runs_with(tmp_path: Path) -> None:
    async with running(options(tmp_path)) as supervisor:
        _, body = await http_get(f"{supervisor.state.nats.monitors[0]}/varz")
    assert json.loads(body)["jetstream"]["config"]["sync_always"] is True


async def test_a_service_that_cannot_start_ends_the_start_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUNQ_FAKE", json.dumps({"node-1": "exit3"}))
    with pytest.raises(RejectedError) as failure:
        await Supervisor(options(tmp_path)).run()
    assert "node-1 does not start: exit code 3" in failure.value.message
    assert "node-1 has its reasons" in failure.value.message
    assert "node-1.log" in str(failure.value.hint)


async def test_a_service_that_cannot_start_on_a_full_disk_says_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUNQ_FAKE", json.dumps({"node-1": "exit3"}))
    monkeypatch.setattr(layout, "FULL", 1 << 60)
    with pytest.raises(RejectedError) as failure:
        await Supervisor(options(tmp_path)).run()
    assert f"the disk of {tmp_path} is full" in str(failure.value.hint)


async def test_a_service_that_ignores_the_drain_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUNQ_FAKE", json.dumps({"node-1": "stubborn"}))
    async with running(options(tmp_path)) as supervisor:
        pid = service(supervisor.state, "node-1").pid
    assert pid is not None
    assert not is_alive(pid)


async def test_a_stopped_cluster_has_drained_its_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drained = tmp_path / "drained"
    drained.mkdir()
    monkeypatch.setenv("FLUNQ_FAKE_DRAINED", str(drained))
    async with running(options(tmp_path / "data", workers=2)):
        assert not list(drained.iterdir())
    assert {path.name for path in drained.iterdir()} == {"control", "node-1", "node-2"}


async def test_a_stopped_server_process_is_found_and_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flunq.services.supervisor._CHECK_INTERVAL", 0.05)
    async with running(options(tmp_path)) as supervisor:
        before = service(supervisor.state, "nats")
        assert before.pid is not None
        os.kill(before.pid, signal.SIGSTOP)
        await eventually(lambda: service(supervisor.state, "nats").state == "unhealthy")
        await eventually(lambda: service(supervisor.state, "nats").restarts == 1, within=40)
        await eventually(lambda: service(supervisor.state, "nats").state == "ready")
        assert "unhealthy" in (service(supervisor.state, "nats").reason or "")


@pytest.mark.root
@pytest.mark.mount
async def test_a_server_that_met_a_full_disk_is_restarted_once_there_is_room(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flunq.services.supervisor._CHECK_INTERVAL", 0.05)
    ballast = small_disk / "ballast"
    async with running(options(small_disk)) as supervisor:
        async with client(supervisor) as js:
            await js.add_stream(name="FILL", subjects=["flunq.fill"])
            ballast.write_bytes(bytes(34_000_000))
            with pytest.raises(nats.errors.TimeoutError):
                for _ in range(80):
                    await js.publish("flunq.fill", bytes(700_000), timeout=2)
        await eventually(lambda: service(supervisor.state, "nats").state == "unhealthy")
        assert service(supervisor.state, "nats").restarts == 0
        ballast.unlink()
        await eventually(lambda: service(supervisor.state, "nats").restarts == 1)
        await eventually(lambda: service(supervisor.state, "nats").state == "ready")
        async with client(supervisor) as js:
            assert (await js.publish("flunq.fill", b"fits")).seq > 1


async def test_an_existing_nats_is_used_and_left_running(tmp_path: Path) -> None:
    async with running(options(tmp_path / "first")) as first:
        url = first.state.nats.url
        async with running(options(tmp_path / "second", nats_url=url)) as second:
            names = [each.name for each in second.state.services]
            assert names == ["control", "node-1"]
            assert second.state.durability == "external"
        assert service(first.state, "nats").state == "ready"


async def test_an_address_without_nats_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no NATS answers"):
        await Supervisor(options(tmp_path, nats_url="nats://127.0.0.1:1")).run()


async def test_data_of_one_server_is_not_opened_as_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "nats" / "jetstream").mkdir(parents=True)
    with pytest.raises(UsageError, match="data of one server"):
        await Supervisor(options(tmp_path, nodes=3)).run()


async def test_three_servers_form_one_cluster(tmp_path: Path) -> None:
    async with running(options(tmp_path, nodes=3)) as supervisor:
        state = supervisor.state
        assert [each.name for each in state.services][:3] == ["nats-1", "nats-2", "nats-3"]
        assert state.replicas == 3
        _, body = await http_get(f"{state.nats.monitors[0]}/jsz")
    assert json.loads(body)["meta_cluster"]["cluster_size"] == 3


async def test_everybody_ends_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path\n"
        "from flunq.services.supervisor import Supervisor\n"
        "from flunq.services.supervising.options import ClusterOptions\n"
        f"o = ClusterOptions(data=Path({str(tmp_path)!r}), context=None,"
        f" program=(sys.executable, '-P', {str(FAKE)!r}))\n"
        "asyncio.run(Supervisor(o).run(lambda _: print('ready', flush=True)))\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    assert await parent.stdout.readline() == b"ready\n"
    state = read_state(DataDirectory(tmp_path))
    assert state is not None
    pids = [each.pid for each in state.services if each.pid]
    parent.kill()
    await parent.wait()
    await eventually(lambda: not any(is_alive(pid) for pid in pids))
    assert len(pids) == 3
