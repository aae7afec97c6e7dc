"""Run the ``flunq`` command as a user does: as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.launching import can_be_forked, launch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PATIENCE = 50.0
"""Seconds; a command that takes longer hangs."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as the one JSON document that it must be."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Flunq:
    """The command with folders of its own."""

    home: Path

    def __call__(
        self,
        *arguments: str,
        stdin: str | None = None,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Outcome:
        """Run one command to its end."""
        variables, folder = self.environment(environ), cwd or self.home
        if can_be_forked(environ or {}):
            return Outcome(
                *launch(
                    arguments,
                    environment=variables,
                    cwd=folder,
                    stdin=stdin or "",
                    timeout=PATIENCE,
                )
            )
        done = subprocess.run(
            [sys.executable, "-m", "flunq", *arguments],
            input=stdin or "",
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=folder,
            env=variables,
            timeout=PATIENCE,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return an environment in which nothing of the user's own configuration is seen."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("FLUNQ_") and name not in ("EVENT_STREAM_TYPE", "DB_TYPE")
        }
        own = {"FLUNQ_CONFIG_DIR": str(self.home / "config"), "FLUNQ_DATA": str(self.home / "data")}
        return {**inherited, **own, **(extra or {})}
