"""What a program may do to the size of its data, decided from its text."""

from __future__ import annotations

from flunq.core.expressions import nodes as n
from flunq.core.expressions.scope import children

_LOOPS_WORDS = """
    map map_values range recurse sort_by group_by unique_by min_by max_by with_entries limit
    any all add first last isempty
"""
_LOOPS = frozenset(_LOOPS_WORDS.split())
_MAX_COPIES = 64


def loops(node: n.Node) -> bool:
    """Tell whether a program may give several results anywhere inside."""
    if isinstance(node, (n.Iterate, n.Comma, n.Reduce, n.Foreach, n.Assign)):
        return True
    if isinstance(node, n.Call) and node.name in _LOOPS and (node.arguments or _bare(node)):
        return True
    return any(loops(child) for child in children(node))


def _bare(node: n.Call) -> bool:
    return node.name == "recurse"


def copies(node: n.Node) -> int:
    """Return an upper bound of how often a loop-free program repeats its input."""
    if isinstance(node, n.Pipe):
        return copies(node.left) * copies(node.right)
    if isinstance(node, n.Bind):
        return copies(node.source) * copies(node.body)
    inner = [copies(child) for child in children(node)]
    if isinstance(node, (n.Array, n.Object, n.Text, n.Binary, n.If)):
        return max(1, sum(inner))
    return max([1, *inner])


def needs_guard(tree: n.Node) -> bool:
    """Tell whether evaluations must carry a counter."""
    return loops(tree) or copies(tree) > _MAX_COPIES
