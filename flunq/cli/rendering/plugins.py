"""Plugins as ``-o json`` prints them, and as rows of a table."""

from __future__ import annotations

from typing import Any

from flunq.cli.tables import Column

PLUGIN_COLUMNS = (
    Column("name", whole=True),
    Column("group"),
    Column("kinds"),
    Column("package"),
    Column("problem"),
)


def plugin_json(plugin: dict[str, Any]) -> dict[str, Any]:
    """Return a plugin; ``problem`` is null for one that works."""
    return {**plugin, "kinds": list(plugin["kinds"])}


def plugin_row(plugin: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a table."""
    return {
        "name": plugin["name"],
        "group": plugin["group"].removeprefix("flunq."),
        "kinds": ", ".join(plugin["kinds"]),
        "package": " ".join(filter(None, (plugin["distribution"], plugin["version"]))),
        "problem": plugin["problem"] or "",
    }
