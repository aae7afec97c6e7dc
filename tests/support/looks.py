"""What the screen looks like, not only what it says: each line with the colours of its parts."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from rich.style import Style

    from flunq_tui.app import Monitor


def styled_grid(app: Monitor) -> str:
    """Return the screen, a line for the text and one for the looks of its parts."""
    names: dict[str, str] = {}
    lines = []
    for strip in app.screen._compositor.render_strips():
        marks = []
        for segment in strip:
            look = described(segment.style)
            name = names.setdefault(look, chr(ord("a") + len(names)))
            marks.append(name * segment.cell_length)
        lines += [strip.text.rstrip(), "".join(marks)]
    legend = [f"{name}  {look}" for look, name in names.items()]
    return "\n".join([*lines, "", *legend]) + "\n"


def described(style: Style | None) -> str:
    """Return the parts of a style that can be seen, in words."""
    if style is None:
        return "plain"
    words = [
        name for name in ("bold", "dim", "italic", "underline", "reverse") if getattr(style, name)
    ]
    for label, color in (("on", style.bgcolor), ("in", style.color)):
        if color is not None:
            words += [label, color.name]
    return " ".join(words) or "plain"


def assert_looks(app: Monitor, path: Path, *, update: bool) -> None:
    """Compare the screen with a file; the difference is what a failure shows."""
    found = styled_grid(app)
    if update:
        path.parent.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
    kept = path.read_text(encoding="utf-8")
    difference = difflib.unified_diff(
        kept.splitlines(), found.splitlines(), path.name, "screen", lineterm=""
    )
    assert found == kept, "\n".join(difference)
