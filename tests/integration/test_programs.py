"""Programs and containers as durable steps: nodes die, are told to stop, or do not allow them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flunq.errors import ExecutionFailedError
from tests.support.docker_stub import Container, DockerStub
from tests.support.processes import history, running_cluster
from tests.support.running import numbers_in
from tests.support.waiting import eventually, is_alive

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)
HEAD = "document: {dsl: 1.0.3, namespace: test, name: sample, version: 1.0.0}\n"
SLOW = (
    HEAD
    + """
do:
  - slow:
      run:
        shell:
          command: |
            echo "$FLUNQ_KEY" >> "$1/keys"
            if [ -e "$1/go" ]; then echo "again $FLUNQ_ATTEMPT"; exit; fi
            setsid sleep 60 &
            echo $$ $! >> "$1/pids"
            sleep 60
          arguments: ['${ .folder }']
"""
)
BACKGROUND = (
    HEAD
    + """
do:
  - start:
      run:
        shell: {command: 'echo $$ >> "$1/pids"; exec sleep 60', arguments: ['${ .folder }']}
        await: false
  - go_on: {set: {seen: '${ .folder }'}}
"""
)
BOX = (
    HEAD
    + """
do:
  - box: {run: {container: {image: slow}}}
"""
)


async def test_a_program_runs_again_after_its_node_was_killed(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    async with running_cluster(tmp_path / "data") as cluster, cluster.client() as client:
        await client.apply(SLOW)
        run = await client.start("sample", {"folder": str(folder)}, id="one")
        left = await numbers_in(folder / "pids", 2)
        (folder / "go").touch()
        cluster.kill("node-1")
        assert await run.result(40) == "again 1"
        await eventually(lambda: not any(map(is_alive, left)))
        assert (folder / "keys").read_text().split() == ["one:/do/0/slow"] * 2


async def test_a_cancelled_execution_takes_its_program_along(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    async with running_cluster(tmp_path / "data") as cluster, cluster.client() as client:
        await client.apply(SLOW)
        run = await client.start("sample", {"folder": str(folder)})
        left = await numbers_in(folder / "pids", 2)
        await run.cancel()
        await eventually(lambda: not any(map(is_alive, left)))


async def test_the_execution_goes_on_while_a_program_runs_in_the_background(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    async with running_cluster(tmp_path / "data") as cluster:
        async with cluster.client() as client:
            await client.apply(BACKGROUND)
            run = await client.start("sample", {"folder": str(folder)})
            assert await run.result(20) == {"seen": str(folder)}
        (process,) = await numbers_in(folder / "pids", 1)
        assert is_alive(process)
    assert not is_alive(process)


@pytest.mark.parametrize(("programs", "allowed"), [(None, False), (True, True)])
async def test_a_production_cluster_runs_programs_only_if_told_so(
    programs: bool | None, allowed: bool, tmp_path: Path
) -> None:
    members: dict[str, Any] = {"profile": "production", "programs": programs}
    text = HEAD + "do: [{say: {run: {shell: {command: echo hi}}}}]"
    async with running_cluster(tmp_path, **members) as cluster, cluster.client() as client:
        await client.apply(text)
        run = await client.start("sample", None)
        if allowed:
            assert await run.result(20) == "hi"
            return
        with pytest.raises(ExecutionFailedError) as caught:
            await run.result(20)
        assert "Programs are not allowed here" in str(caught.value)


async def test_a_container_goes_on_while_its_node_is_killed(tmp_path: Path) -> None:
    async def slow(container: Container) -> int:
        await container.write("begun\n")
        await eventually((tmp_path / "go").exists)
        return 0

    async with DockerStub(tmp_path / "engine.sock") as engine:
        engine.programs["slow"] = slow
        async with (
            running_cluster(tmp_path / "data", environment=engine.environment) as cluster,
            cluster.client() as client,
        ):
            await client.apply(BOX)
            run = await client.start("sample", None)
            await eventually(lambda: engine.asked("GET /containers/c1/logs"))
            cluster.kill("node-1")
            await eventually(lambda: len(engine.asked("GET /containers/c1/logs")) == 2)
            (tmp_path / "go").touch()
            assert await run.result(40) == "begun"
            assert len(engine.asked("POST /containers/create")) == 1
            started = [e for e in await history(client, run.id) if "task.started" in e.type]
            assert len(started) == 1
