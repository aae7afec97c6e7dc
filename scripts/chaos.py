"""Run every scenario of ``flunq chaos`` with several seeds and print one table.

Usage: python scripts/chaos.py [SEEDS] [SIZE]   (10 seeds of size full unless told otherwise)
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

SCENARIOS: dict[str, list[str]] = {
    "one server": ["--rounds", "11"],
    "three servers": ["--nodes", "3", "--rounds", "14"],
    "everything at once": ["--faults", "kill-all", "--rounds", "3"],
    "timers": ["--scenario", "timers"],
    "events": ["--scenario", "events"],
    "starts": ["--scenario", "starts"],
}
COLUMNS = ("lost", "doubled", "gaps", "early", "keys", "wrong")


def run(options: list[str], seed: int, size: str) -> dict[str, Any]:
    """Run one scenario; return its report, or what the command said instead."""
    command = [sys.executable, "-m", "flunq", "chaos", "--seed", str(seed), "--size", size]
    done = subprocess.run(
        [*command, *options, "-o", "json"], capture_output=True, text=True, check=False
    )
    report: dict[str, Any] = json.loads(done.stdout)
    if "counts" not in report:
        raise SystemExit(f"{' '.join([*command, *options])}: {report}")
    return report


def worst(reports: list[dict[str, Any]], member: str) -> str:
    """Return the longest time that any fault took; a fault that never ended is ``never``."""
    times = [fault[member] for report in reports for fault in report["faults"]]
    return "never" if None in times else f"{max(times):.2f} s"


def line(name: str, reports: list[dict[str, Any]]) -> str:
    """Return one line of the table."""
    counts = [sum(report["counts"][column] for report in reports) for column in COLUMNS]
    acknowledged = sum(report["acknowledged"] for report in reports)
    faults = sum(len(report["faults"]) for report in reports)
    numbers = " ".join(f"{count:>7}" for count in counts)
    waits = f"{worst(reports, 'next_start'):>10} {worst(reports, 'recovered'):>10}"
    return f"{name:<20} {len(reports):>5} {faults:>6} {acknowledged:>9} {numbers} {waits}"


def main() -> int:
    """Run everything; the exit code is 1 if a promise was broken."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    size = sys.argv[2] if len(sys.argv) > 2 else "full"
    titles = " ".join(f"{column:>7}" for column in COLUMNS)
    print(f"{'':<20} {'SEEDS':>5} {'FAULTS':>6} {'STARTS':>9} {titles} NEXT START  RECOVERED")
    broken: list[str] = []
    for name, options in SCENARIOS.items():
        reports = [run(options, seed, size) for seed in range(1, seeds + 1)]
        print(line(name, reports), flush=True)
        broken += [f"{report['repeat']}: {what}" for report in reports for what in report["broken"]]
    for what in broken:
        print(what)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
