"""JSON values, as decoded by msgspec."""

from __future__ import annotations

from typing import Any, TypeAlias

JSON: TypeAlias = dict[str, Any] | list[Any] | str | int | float | bool | None
"""Treated as immutable everywhere: values are shared, never changed in place."""

LEVELS_AROUND = 64
"""Levels that commands, events and states put around a value, with room to spare."""
