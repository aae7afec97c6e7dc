"""``flunq doctor``: check this machine and the cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flunq.cli import diagnostics, output, text
from flunq.cli.exits import ExitCode
from flunq.cli.progress import progress
from flunq.cli.session import OutputFormat, current, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.config import Loaded
    from flunq.services.diagnosis import Check


async def command(
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Data folder of the cluster.")
    ] = None,
) -> int:
    """Check this machine and the cluster, with a remedy for each finding.

    $ flunq doctor

    $ flunq doctor -o json > doctor.json

    Exit code 1 when a check fails; warnings do not count.
    """
    import msgspec

    with progress("checking"):
        checks = await _checks(settings(data=data and str(data)))
    if current().output is OutputFormat.TABLE:
        output.emit_text("\n".join(line for check in checks for line in _lines(check)))
    else:
        output.emit([msgspec.to_builtins(check) for check in checks])
    failed = sum(check.status == "fail" for check in checks)
    warned = sum(check.status == "warn" for check in checks)
    diagnostics.say(f"{len(checks)} checks, {failed} failed, {warned} warnings")
    return ExitCode.FAILED if failed else ExitCode.DONE


def _lines(check: Check) -> Iterator[str]:
    word = text.paint(f"{check.status:4}", text.status_style(check.status), sys.stdout)
    yield f"{word}  {check.name:17}  {text.neutralise(check.value)}"
    if check.remedy:
        yield f"      {'':17}  remedy: {text.neutralise(check.remedy)}"


async def _checks(loaded: Loaded) -> list[Check]:
    from flunq.cli.cluster_context import starting_command
    from flunq.services.diagnosis import run_checks
    from flunq.services.diagnosis.checks import Checker, ok
    from flunq.services.diagnosis.cluster import cluster_checks
    from flunq.services.diagnosis.machine import machine_checks
    from flunq.services.supervising.layout import DataDirectory
    from flunq.services.supervising.statefile import running_state

    chosen = loaded.settings
    elsewhere = _cluster_elsewhere(loaded)
    state = None if elsewhere else running_state(DataDirectory(Path(chosen.data)))
    checkers: list[tuple[str, Checker]] = list(machine_checks(chosen, running=state is not None))
    if state is not None:
        checkers += cluster_checks(state, chosen.tenant)
    checks = await run_checks(checkers)
    if state is None:
        here = f"none runs on {chosen.data}; {starting_command(loaded)} starts one"
        checks.append(ok("cluster", elsewhere or here))
    return checks


def _cluster_elsewhere(loaded: Loaded) -> str | None:
    """Say so when the selected context's cluster is not one of this machine's."""
    context = loaded.context
    if context is None or context.data_dir is not None or loaded.origins["data"].source == "flag":
        return None
    return f"context {context.name} is elsewhere; only this machine was checked"
