"""What the screen looks like, not only what it says: as SVG that says the same every time."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flunq_tui.app import Monitor

_PREFIX = re.compile(r"terminal-\d+-")
_FONT = re.compile(r"@font-face \{.*?\}", re.DOTALL)
_RULE = re.compile(r"\.(r\d+) \{ (.*?) \}\n?")
_CLASS = re.compile(r'class="(r\d+)"')
_NOTHING = re.compile(
    r'<clipPath.*?</clipPath>|<defs>\s*</defs>| clip-path="[^"]*"|<text [^>]*>\s*</text>', re.DOTALL
)


def picture(app: Monitor) -> str:
    """Return the screen as SVG: an element a line, its colours with it, no fonts to be loaded."""
    svg = _FONT.sub("", _PREFIX.sub("", app.export_screenshot(title="flunq", simplify=True)))
    looks = dict(_RULE.findall(svg))
    svg = _CLASS.sub(lambda found: f'style="{looks[found[1]]}"', _RULE.sub("", svg))
    for _ in range(2):  # the definitions are empty once the clips are gone
        svg = _NOTHING.sub("", svg)
    svg = svg.replace("<svg ", '<svg xml:space="preserve" ', 1).replace("&#160;", " ")
    lines = svg.replace("><", ">\n<").splitlines()
    return "\n".join(line.strip() for line in lines if line.strip()) + "\n"


def assert_looks(app: Monitor, path: Path, *, update: bool) -> None:
    """Compare the screen with a file; a failure shows what differs and where the screen is."""
    found = picture(app)
    if update:
        path.parent.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
    kept = path.read_text(encoding="utf-8")
    if found != kept:
        screen = Path.cwd() / f"new-{path.name}"
        screen.write_text(found, encoding="utf-8")
        difference = difflib.unified_diff(
            kept.splitlines(), found.splitlines(), str(path), str(screen), n=0, lineterm=""
        )
        raise AssertionError("\n".join(difference))
