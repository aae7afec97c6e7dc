"""A workflow's definition as a drawing: for a terminal, as Mermaid, as JSON."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.cli import text
from flunq.core.document.edges import BEGIN, END, edges
from flunq.core.document.outline import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flunq.core.document.outline import Node

_NOTE = 60
_UNSAFE = re.compile(r'["#\[\]{}()<>|`\n]')
_SHAPES = {"switch": ("{", "}"), "case": ("(", ")"), "wait": ("([", "])"), "listen": ("([", "])")}


def graph_json(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return tasks and the ways between them."""
    head = document.get("document") or {}
    return {
        "workflow": {name: head.get(name) for name in ("namespace", "name", "version")},
        "nodes": msgspec.to_builtins(nodes(document)),
        "edges": msgspec.to_builtins(edges(document)),
    }


def graph_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the tasks as a tree, with where they go."""
    head = document.get("document") or {}
    yield text.neutralise(f"{head.get('namespace')}/{head.get('name')}:{head.get('version')}")
    found = nodes(document)
    pretty = text.unicode_terminal(sys.stdout)
    for place, node in enumerate(found):
        yield f"{_branches(found, place, pretty=pretty)}{_node_text(node, pretty=pretty)}"


def _branches(found: Sequence[Node], place: int, *, pretty: bool) -> str:
    """Return the lines of the tree to the left of a task."""
    straight, fork, corner = ("│  ", "├─ ", "└─ ") if pretty else ("|  ", "|- ", "`- ")
    depth = found[place].depth
    parts = [straight if _goes_on(found, place, level) else "   " for level in range(depth)]
    return "".join([*parts, fork if _goes_on(found, place, depth) else corner])


def _goes_on(found: Sequence[Node], place: int, level: int) -> bool:
    """Tell whether a task of that level follows before one further out does."""
    for node in found[place + 1 :]:
        if node.depth <= level:
            return node.depth == level
    return False


def _node_text(node: Node, *, pretty: bool) -> str:
    arrow = "→" if pretty else "->"
    note = f"  {text.shorten(node.note, _NOTE)}" if node.note else ""
    needs = f"  after {', '.join(node.needs)}" if node.needs else ""
    goes = f"  {arrow} {node.goes}" if node.goes else ""
    name = text.paint(text.neutralise(node.name), "bold", sys.stdout)
    return f"{name}  {text.neutralise(f'{node.kind}{note}{needs}{goes}')}"


def graph_mermaid(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield a flow chart of Mermaid."""
    drawn = [node for node in nodes(document) if node.kind != "case"]
    ids = {node.reference: f"t{number}" for number, node in enumerate(drawn)}
    ids |= {BEGIN: "begin", END: "finish"}
    yield "flowchart TD"
    yield "  begin((begin))"
    for node in drawn:
        left, right = _SHAPES.get(node.kind, ("[", "]"))
        label = node.name if node.kind == node.name else f"{node.name}: {node.kind}"
        yield f'  {ids[node.reference]}{left}"{_label(label)}"{right}'
    yield "  finish((end))"
    for edge in edges(document):
        label = f'|"{_label(edge.label)}"|' if edge.label else ""
        yield f"  {ids[edge.source]} -->{label} {ids[edge.target]}"


def _label(content: str) -> str:
    """Return a text that Mermaid takes for nothing else."""
    return _UNSAFE.sub(lambda found: f"#{ord(found.group())};", text.neutralise(content))
