"""How long commands take from nothing: as processes that see no configuration but their own."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flunq.errors import InternalError

if TYPE_CHECKING:
    from flunq.bench.cluster import BenchCluster

_PROGRAM = (sys.executable, "-P", "-m", "flunq")
_HELLO = """
document: {dsl: 1.0.3, namespace: flunq-bench, name: hello, version: 1.0.0}
do:
  - greet: {set: {message: '${ "Hello, \\(.name)!" }'}}
"""
_REPEATS = 3


async def cold_starts(cluster: BenchCluster) -> dict[str, Any]:
    """Time ``--help``, ``run`` without a cluster and ``up``; the best of three counts."""
    cluster.tell("cold starts")
    with tempfile.TemporaryDirectory(prefix="flunq-bench-") as name:
        folder = Path(name)
        document = folder / "hello.yaml"
        document.write_text(_HELLO)
        run = ("run", str(document), "-i", '{"name": "Ada"}', "--private")
        return {
            "help_seconds": await _best(folder, "--help"),
            "run_hello_seconds": await _best(folder, *run),
            "up_ready_seconds": await _up(folder),
        }


async def _best(folder: Path, *arguments: str) -> float:
    return round(min([await _time(folder, *arguments) for _ in range(_REPEATS)]), 3)


async def _up(folder: Path) -> float:
    taken = []
    for number in range(_REPEATS):
        data = ("--data", str(folder / f"data-{number}"))
        taken.append(await _time(folder, "up", "--detach", *data))
        await _time(folder, "down", *data)
    return round(min(taken), 3)


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
