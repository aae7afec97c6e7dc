"""Fail when a module has more than 800 lines or a function more than 60.

Usage: python scripts/size_guard.py [FOLDER...]
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE_LINES = 800
FUNCTION_LINES = 60
ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("flunq", "tui", "plugins", "scripts", "tests")
ALLOWED: dict[str, str] = {}
"""``path`` or ``path:function`` -> the reason why it may be longer."""


def findings(path: Path) -> Iterator[tuple[str, int, str]]:
    """Yield place, line and complaint for everything in a module that is too long."""
    source = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT).as_posix()
    lines = len(source.splitlines())
    if lines > MODULE_LINES:
        yield name, 1, f"module of {lines} lines, more than {MODULE_LINES}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                complaint = f"{node.name} has {length} lines, more than {FUNCTION_LINES}"
                yield f"{name}:{node.name}", node.lineno, complaint


def main(folders: list[str]) -> int:
    """Check every module and return the exit code."""
    paths = [p for f in folders or FOLDERS for p in sorted((ROOT / f).rglob("*.py"))]
    found = [finding for path in paths for finding in findings(path)]
    too_long = [finding for finding in found if finding[0] not in ALLOWED]
    for place, line, complaint in too_long:
        print(f"{place.split(':')[0]}:{line}: {complaint}")
    stale = set(ALLOWED) - {place for place, _, _ in found} if not folders else set()
    for place in sorted(stale):
        print(f"{place}: is allowed to be long but is not; take it off the list")
    return 1 if too_long or stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
