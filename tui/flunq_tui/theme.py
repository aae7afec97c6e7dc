"""How a status looks: a glyph, a word and a colour, so that colour alone never carries meaning."""

from __future__ import annotations

GLYPHS = {
    "completed": "✓",
    "ready": "✓",
    "active": "✓",
    "running": "●",
    "starting": "●",
    "waiting": "◌",
    "created": "·",
    "retrying": "↻",
    "suspended": "‖",
    "paused": "‖",
    "faulted": "✗",
    "quarantined": "✗",
    "failed": "✗",
    "unhealthy": "✗",
    "broken": "✗",
    "backoff": "↻",
    "cancelled": "⊘",
    "stopped": "⊘",
    "stopping": "⊘",
}
_STYLES = {
    **dict.fromkeys(("completed", "ready", "active", "ok"), "ok"),
    **dict.fromkeys(("running", "starting", "started", "resumed"), "run"),
    **dict.fromkeys(("waiting", "suspended", "paused", "warning", "stopping"), "warn"),
    **dict.fromkeys(("retrying", "retried", "backoff"), "warn"),
    **dict.fromkeys(("faulted", "quarantined", "failed", "unhealthy", "broken"), "bad"),
    **dict.fromkeys(("error", "critical", "lost"), "bad"),
    **dict.fromkeys(("cancelled", "stopped", "created", "debug"), "dim"),
}
STYLES = ("ok", "run", "warn", "bad", "dim", "accent", "title", "string", "number", "word", "key")
"""Names of the looks that widgets know."""
SHOWN_THEMES = ("textual-dark", "textual-light", "ansi-dark", "ansi-light")

LOOKS = """
    &--ok { color: $success; }
    &--run { color: $primary; }
    &--warn { color: $warning; }
    &--bad { color: $error; }
    &--dim { color: $foreground; text-style: dim; }
    &--accent { color: $accent; }
    &--title { color: $foreground; text-style: bold; }
    &--string { color: $success; }
    &--number { color: $warning; }
    &--word { color: $accent; }
    &--key { color: $primary; }
    &--match { text-style: reverse; }
    &--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
    &--inactive { background: $panel; text-style: bold; }
"""


def glyph(status: str) -> str:
    """Return the sign of a status."""
    return GLYPHS.get(status, "·")


def style_of(status: str) -> str:
    """Return the name of the look of a status; empty for a word without one."""
    return _STYLES.get(status, "")


def looks(prefix: str) -> tuple[set[str], str]:
    """Return the component classes of a widget and the CSS that gives them their colours."""
    names = {f"{prefix}--{name}" for name in (*STYLES, "match", "cursor", "inactive")}
    rules = LOOKS.replace("&--", f"& > .{prefix}--")
    return names, rules
