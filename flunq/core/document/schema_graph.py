"""A JSON Schema as a graph: which parts look at the same value, and which look below it."""

from __future__ import annotations

from typing import Any, TypeAlias
from urllib.parse import unquote, urljoin

Label: TypeAlias = tuple[Any, ...]
"""Which part of a value an edge leads to: ``("member", name)``, ``("rest", names)``..."""

LISTS = ("allOf", "anyOf", "oneOf")
SINGLE = ("not", "if", "then", "else")
MAPS = ("dependentSchemas", "dependencies")
LINKS = ("$ref", "$dynamicRef", "$recursiveRef")
REPEATING = ("unevaluatedItems", "unevaluatedProperties")


class Node:
    """One schema among the parts of a schema."""

    __slots__ = ("below", "repeats", "same")

    def __init__(self, schema: dict[str, Any]) -> None:
        self.same: list[int] = []
        """Schemas that look at the same value."""
        self.below: list[tuple[Label, int]] = []
        """Schemas that look at a part of it."""
        self.repeats = any(key in schema for key in REPEATING)
        """Whether all of ``same`` is gone through a second time."""


class Graph:
    """The schemas that can be reached from the first one, number 0."""

    def __init__(self, root: Any, uri: str, documents: dict[str, Any]) -> None:
        self.nodes: list[Node] = []
        self._numbers: dict[int, int] = {}
        self._pending: list[dict[str, Any]] = []
        self._links = _Links(root, uri, documents)
        self._number(root)
        while self._pending:
            schema = self._pending.pop()
            self._fill(self.nodes[self._numbers[id(schema)]], schema)

    def _number(self, schema: Any) -> int | None:
        if not isinstance(schema, dict):
            return None
        number = self._numbers.get(id(schema))
        if number is None:
            number = self._numbers[id(schema)] = len(self.nodes)
            self.nodes.append(Node(schema))
            self._pending.append(schema)
        return number

    def _fill(self, node: Node, schema: dict[str, Any]) -> None:
        same = [schema.get(key) for key in SINGLE]
        for key in LISTS:
            same += _listed(schema.get(key))
        for key in MAPS:
            same += _mapped(schema.get(key)).values()
        same += self._links.targets(schema)
        node.same = [number for part in same if (number := self._number(part)) is not None]
        node.below = [
            (label, number)
            for label, part in _parts_below(schema)
            if (number := self._number(part)) is not None
        ]


def _parts_below(schema: dict[str, Any]) -> list[tuple[Label, Any]]:
    named = _mapped(schema.get("properties"))
    found: list[tuple[Label, Any]] = [(("member", name), part) for name, part in named.items()]
    found += [(("any",), part) for part in _mapped(schema.get("patternProperties")).values()]
    found.append((("rest", frozenset(named)), schema.get("additionalProperties")))
    found.append((("any",), schema.get("unevaluatedProperties")))
    found.append((("name",), schema.get("propertyNames")))
    firsts = _listed(schema.get("prefixItems")) or _listed(schema.get("items"))
    found += [(("item", index), part) for index, part in enumerate(firsts)]
    for key in ("items", "additionalItems"):
        found.append((("after", len(firsts)), schema.get(key)))
    found += [(("each",), schema.get(key)) for key in ("contains", "unevaluatedItems")]
    return found


def overlap(one: Label, other: Label) -> bool:
    """Tell whether two edges may lead to the same part of a value."""
    if one[0] > other[0]:
        one, other = other, one
    kinds = (one[0], other[0])
    if kinds == ("member", "rest"):
        return one[1] not in other[1]
    if kinds in (("member", "member"), ("item", "item")):
        return bool(one[1] == other[1])
    if kinds == ("after", "item"):
        return bool(other[1] >= one[1])
    families = ({"any", "member", "rest"}, {"after", "each", "item"}, {"name"})
    return any(kinds[0] in family and kinds[1] in family for family in families)


class _Links:
    """What ``$ref`` and its relatives lead to."""

    def __init__(self, root: Any, uri: str, documents: dict[str, Any]) -> None:
        self._bases: dict[int, str] = {}
        self._places: dict[str, Any] = {}
        self._anchors: dict[str, list[Any]] = {}
        self._index(root, uri)
        for address, document in documents.items():
            self._index(document, address)

    def _index(self, document: Any, uri: str) -> None:
        self._places.setdefault(uri, document)
        stack = [(document, uri)]
        while stack:
            node, base = stack.pop()
            if isinstance(node, list):
                stack.extend((item, base) for item in node)
            elif isinstance(node, dict):
                base = self._enter(node, base)
                stack.extend((item, base) for item in node.values())

    def _enter(self, node: dict[str, Any], base: str) -> str:
        name = node.get("$id", node.get("id"))
        if isinstance(name, str):
            base = urljoin(base, name)
            self._places.setdefault(base.removesuffix("#"), node)
        for key in ("$anchor", "$dynamicAnchor"):
            if isinstance(node.get(key), str):
                self._places.setdefault(f"{base}#{node[key]}", node)
                self._anchors.setdefault(node[key], []).append(node)
        self._bases[id(node)] = base
        return base

    def targets(self, node: dict[str, Any]) -> list[Any]:
        """Return what the links of a part may lead to."""
        found: list[Any] = []
        for key in LINKS:
            written = node.get(key)
            if isinstance(written, str):
                found.append(self._target(self._bases[id(node)], written))
                if key != "$ref":
                    found += self._anchors.get(written.partition("#")[2], ())
        return found

    def _target(self, base: str, written: str) -> Any:
        within = written[:1] == "#"
        uri = base.partition("#")[0] + written if within else urljoin(base, written)
        uri = uri.removesuffix("#")
        if uri in self._places:
            return self._places[uri]
        address, _, fragment = uri.partition("#")
        found = self._places.get(address)
        for token in fragment.split("/")[1:]:
            found = _step(found, unquote(token).replace("~1", "/").replace("~0", "~"))
        return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapped(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _step(value: Any, token: str) -> Any:
    if isinstance(value, dict):
        return value.get(token)
    if isinstance(value, list) and token.isdecimal() and int(token) < len(value):
        return value[int(token)]
    return None
