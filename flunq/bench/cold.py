"""How long commands take from nothing: as processes that see no configuration but their own."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flunq.bench.processes import CLIENT, cpu_between, memory_of, memory_together, read_usage
from flunq.errors import InternalError
from flunq.services.supervising.layout import DataDirectory
from flunq.services.supervising.statefile import read_state

if TYPE_CHECKING:
    from flunq.bench.cluster import BenchCluster

_PROGRAM = (sys.executable, "-P", "-m", "flunq")
_HELLO = """
document: {dsl: 1.0.3, namespace: flunq-bench, name: hello, version: 1.0.0}
do:
  - greet: {set: {message: '${ "Hello, \\(.name)!" }'}}
"""
_REPEATS = 3


async def cold_starts(cluster: BenchCluster, seconds: float) -> dict[str, Any]:
    """Time ``--help``, ``run`` without a cluster and ``up``, and watch that cluster idle."""
    cluster.tell("cold starts")
    with tempfile.TemporaryDirectory(prefix="flunq-bench-") as name:
        folder = Path(name)
        document = folder / "hello.yaml"
        document.write_text(_HELLO)
        run = ("run", str(document), "-i", '{"name": "Ada"}', "--private")
        return {
            "help_seconds": await _best(folder, "--help"),
            "run_hello_seconds": await _best(folder, *run),
            **await _up(cluster, folder, seconds),
        }


async def _best(folder: Path, *arguments: str) -> float:
    return round(min([await _time(folder, *arguments) for _ in range(_REPEATS)]), 3)


async def _up(cluster: BenchCluster, folder: Path, seconds: float) -> dict[str, Any]:
    taken = []
    idle: dict[str, Any] = {}
    for number in range(_REPEATS):
        data = folder / f"data-{number}"
        taken.append(await _time(folder, "up", "--detach", "--data", str(data)))
        if number == 0:
            cluster.tell("watching an idle cluster")
            idle = await _idle(data, seconds)
        await _time(folder, "down", "--data", str(data))
    return {"up_ready_seconds": round(min(taken), 3), **idle}


async def _idle(data: Path, seconds: float) -> dict[str, Any]:
    """Watch every process of a cluster that has nothing to do."""
    state = read_state(DataDirectory(data))
    if state is None:
        raise InternalError(f"the cluster on {data} has left no state")
    pids = {"supervisor": state.pid, **{s.name: s.pid for s in state.services if s.pid}}
    await asyncio.sleep(seconds)  # what follows a start is no part of it
    before = read_usage(pids)
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    taken = max(time.perf_counter() - began, 0.001)
    after = read_usage(pids)
    cpu = {name: used / taken * 100 for name, used in cpu_between(before, after).items()}
    memory, together = memory_of(after), memory_together(pids.values())
    del cpu[CLIENT], memory[CLIENT]
    return {
        "idle_bytes": {**memory, "all": sum(memory.values())},
        "idle_bytes_together": together,
        "idle_cpu_percent": {
            **{name: round(share, 2) for name, share in cpu.items()},
            "all": round(sum(cpu.values()), 2),
        },
    }


async def _time(folder: Path, *arguments: str) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *_PROGRAM,
        *arguments,
        cwd=folder,
        env=_environment(folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode:
        raise InternalError(f"flunq {arguments[0]} failed: {said.decode(errors='replace')[-500:]}")
    return time.perf_counter() - began


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of the user's own settings and contexts is seen or changed."""
    inherited = {name: value for name, value in os.environ.items() if name[:6] != "FLUNQ_"}
    return {**inherited, "FLUNQ_CONFIG_DIR": str(folder / "config")}
