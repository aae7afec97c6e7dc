"""What every test folder shares: hypothesis profiles, tools that a test may need, one summary."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import subprocess
import sys
from collections import Counter
from functools import cache
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support.compiled import forget_bytecode, share_bytecode
from tests.support.specification import SPECIFICATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from _pytest.terminal import TerminalReporter

# What everybody runs is the same each time; "just fuzz" looks for what nobody has seen yet.
for profile, examples in (("ci", 50), ("dev", 50), ("night", 5000)):
    settings.register_profile(
        profile,
        max_examples=examples,
        derandomize=profile == "ci",
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        print_blob=True,
    )
# Tests fork beside gRPC's threads; its own handlers would only print that they do nothing.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
# A coroutine that is thrown away outside of any loop asks for the current one, as gather() does.
# Without this the first to ask would get a new loop, which nobody closes.
asyncio.set_event_loop(None)

# Workers of this run, and what they start, begin after this.
_compiled = share_bytecode()

LONG = (
    *("tests/simulation", "tests/integration", "tests/e2e", "tests/bench", "tests/packaging"),
    *("tests/contract", "tests/tui", "tests/property", "tests/conformance"),
)
"""Folders whose files take long, the longest first: a worker that starts one last ends alone."""


def _on_path(*names: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        found = any(shutil.which(name) for name in names)
        return None if found else f"{' or '.join(names)} is not installed"

    return missing


def _no_container_engine() -> str | None:
    sockets = ("/var/run/docker.sock", "/run/podman/podman.sock")
    return None if any(os.path.exists(path) for path in sockets) else "no Docker or Podman socket"  # noqa: PTH110


def _not_root() -> str | None:
    return None if hasattr(os, "geteuid") and os.geteuid() == 0 else "needs to run as root"


def _no_specification() -> str | None:
    path = SPECIFICATION / "schema" / "workflow.yaml"
    return None if path.is_file() else "set FLUNQ_SPEC_DIR to a copy of the official schema"


def _cannot_mount() -> str | None:
    with TemporaryDirectory() as folder:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False
        )
        if made.returncode:
            return "no file system can be mounted here"
        subprocess.run(["umount", folder], check=True)
        return None


TOOLS: dict[str, Callable[[], str | None]] = {
    "chromium": cache(_on_path("chromium", "chromium-browser", "google-chrome")),
    "tmux": cache(_on_path("tmux")),
    "node": cache(_on_path("node")),
    "docker": cache(_no_container_engine),
    "root": cache(_not_root),
    "mount": cache(_cannot_mount),
    "curl": cache(_on_path("curl")),
    "jq": cache(_on_path("jq")),
    "specification": cache(_no_specification),
    "linux": cache(lambda: None if sys.platform == "linux" else "needs Linux"),
}
"""Marker -> why its tests cannot run here, or None when they can."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, and skip what this machine cannot run."""
    items.sort(key=_turn)
    for item in items:
        for marker, missing in TOOLS.items():
            if item.get_closest_marker(marker) and (reason := missing()):
                item.add_marker(pytest.mark.skip(reason=f"{marker}: {reason}"))


def _turn(item: pytest.Item) -> int:
    folder = "/".join(item.nodeid.split("/", 2)[:2])
    return LONG.index(folder) if folder in LONG else len(LONG)


def pytest_configure(config: pytest.Config) -> None:
    """Make markers of the tools; workers take files in their order, not by how many tests."""
    for marker in TOOLS:
        config.addinivalue_line("markers", f"{marker}: skipped where the machine has it not")
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported: it would look at it for nothing."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let extensions clean up after themselves."""
    gc.unfreeze()
    forget_bytecode(_compiled)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say how many tests were skipped, and why."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple):
            reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"not run here: {count} x {reason}")
