"""What every test folder shares: hypothesis profiles, tools that a test may need, one summary."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from _pytest.terminal import TerminalReporter

for profile, examples in (("dev", 50), ("ci", 300), ("night", 5000)):
    settings.register_profile(
        profile,
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        print_blob=True,
    )
# Tests fork beside gRPC's threads; its own handlers would only print that they do nothing.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


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


TOOLS: dict[str, Callable[[], str | None]] = {
    "chromium": cache(_on_path("chromium", "chromium-browser", "google-chrome")),
    "tmux": cache(_on_path("tmux")),
    "node": cache(_on_path("node")),
    "docker": cache(_no_container_engine),
    "root": cache(_not_root),
}
"""Marker -> why its tests cannot run here, or None when they can."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run."""
    for item in items:
        for marker, missing in TOOLS.items():
            if item.get_closest_marker(marker) and (reason := missing()):
                item.add_marker(pytest.mark.skip(reason=f"{marker}: {reason}"))


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say how many tests were skipped for want of which tool."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            if reason.split(":")[0] in TOOLS:
                reasons[reason] += 1
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"not run here: {count} x {reason}")
