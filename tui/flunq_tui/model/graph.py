"""A workflow's definition as lines of text; the command line draws it from the same outline."""

from __future__ import annotations

from flunq.core.document.outline import Node, event_types, kind_of, nodes

__all__ = ["Node", "event_types", "kind_of", "nodes"]
