"""Print how long each start takes and how many modules it imports. Informs, asserts nothing."""

from __future__ import annotations

import subprocess
import sys
import time

REPEATS = 7
CASES = {
    "python -c pass": "pass",
    "import flunq": "import flunq",
    "import flunq.cli.main": "import flunq.cli.main",
    "flunq --version": "from flunq.cli.main import run; run(['--version'])",
    "flunq --help": "from flunq.cli.main import run; run(['--help'])",
    "flunq config show": "from flunq.cli.main import run; run(['config', 'show'])",
    "import flunq.client": "import flunq.client",
    "import flunq.core.reading": "import flunq.core.reading",
}
COUNT = "; import sys; print(len(sys.modules), file=sys.stderr)"


def measure(code: str) -> tuple[float, int]:
    """Return the shortest wall time in milliseconds and the number of modules."""
    best, modules = float("inf"), 0
    for _ in range(REPEATS):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code + COUNT], capture_output=True, text=True, check=True
        )
        best = min(best, time.perf_counter() - began)
        modules = int(done.stderr.split()[-1])
    return best * 1000, modules


def main() -> None:
    """Measure every case."""
    print(f"{'CASE':<28}{'MS':>8}{'MODULES':>10}")
    for name, code in CASES.items():
        milliseconds, modules = measure(code)
        print(f"{name:<28}{milliseconds:>8.0f}{modules:>10}")


if __name__ == "__main__":
    main()
