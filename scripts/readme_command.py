"""Print a command of the README: the shell block after the marker ``<!-- command N -->``.

Usage: python scripts/readme_command.py N
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def command(number: int) -> str:
    """Return the text of a shell block."""
    text = README.read_text(encoding="utf-8")
    pattern = rf"<!-- command {number} -->\s*```sh\n(.*?)```"
    match = re.search(pattern, text, re.DOTALL)
    if match is None:
        raise SystemExit(f"README.md has no block after <!-- command {number} -->")
    return match[1].strip()


if __name__ == "__main__":
    print(command(int(sys.argv[1])))
