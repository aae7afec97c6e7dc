"""The metrics of many processes as one exposition, with a label for each process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.telemetry.metrics import escape

if TYPE_CHECKING:
    from collections.abc import Mapping

_SUFFIXES = ("_bucket", "_sum", "_count")


def merged(expositions: Mapping[str, str]) -> str:
    """Return expositions by node as one; each metric has its explanation once."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for node, text in expositions.items():
        for line in text.splitlines():
            if line.startswith("#"):
                family = line.split(" ", 3)[2]
                head = heads.setdefault(family, [])
                if all(line.split(" ", 2)[1] != known.split(" ", 2)[1] for known in head):
                    head.append(line)
            elif line:
                family = _family(line, heads)
                samples.setdefault(family, []).append(_labelled(line, node))
    lines = [line for name in sorted(heads) for line in heads[name] + samples.get(name, [])]
    return "\n".join(lines) + "\n"


def _family(line: str, heads: Mapping[str, list[str]]) -> str:
    name = line.split("{", 1)[0].split(" ", 1)[0]
    if name not in heads:
        for suffix in _SUFFIXES:
            if name.endswith(suffix) and name.removesuffix(suffix) in heads:
                return name.removesuffix(suffix)
    return name


def _labelled(line: str, node: str) -> str:
    label = f'node="{escape(node)}"'
    name, brace, rest = line.partition("{")
    if brace:
        return f"{name}{{{label},{rest}"
    name, _, value = line.partition(" ")
    return f"{name}{{{label}}} {value}"
