"""From a path to its route: a tree of segments, built once."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from flunq.api.problems import MethodError, UnknownPathError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flunq.api.contract import ApiRoute


class _Node:
    __slots__ = ("named", "parameter", "routes", "static")

    def __init__(self) -> None:
        self.static: dict[str, _Node] = {}
        self.named: _Node | None = None
        self.parameter = ""
        self.routes: dict[str, ApiRoute] = {}


class Router:
    """Finds routes; what is written out in a path wins over a parameter."""

    def __init__(self, routes: Iterable[ApiRoute]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def find(self, method: str, raw_path: str) -> tuple[ApiRoute, dict[str, str]]:
        """Return the route and what the path says; raises UnknownPathError or MethodError."""
        found: dict[str, str] = {}
        node = _descend(self._root, raw_path.split("/")[1:], found)
        if node is None:
            raise UnknownPathError("there is no such path", hint="GET /openapi.json lists them")
        route = node.routes.get("GET" if method == "HEAD" else method)
        if route is None:
            raise MethodError(f"{method} is not possible here", allowed=_allowed(node))
        return route, found

    def allowed(self, raw_path: str) -> list[str]:
        """Return the methods of a path; none if it is unknown."""
        node = _descend(self._root, raw_path.split("/")[1:], {})
        return [] if node is None else _allowed(node)

    def _add(self, route: ApiRoute) -> None:
        node = self._root
        for segment in route.path.split("/")[1:]:
            if segment.startswith("{"):
                node.named = node.named or _Node()
                node.parameter = segment[1:-1]
                node = node.named
            else:
                node = node.static.setdefault(segment, _Node())
        if route.method in node.routes:
            raise ValueError(f"{route.method} {route.path} is there twice")
        node.routes[route.method] = route


def _descend(node: _Node, segments: list[str], found: dict[str, str]) -> _Node | None:
    for segment in segments:
        # A decoded segment may contain a slash; it is still one segment.
        text = unquote(segment, errors="replace") if "%" in segment else segment
        following = node.static.get(text)
        if following is None:
            if node.named is None or not text:
                return None
            found[node.parameter] = text
            following = node.named
        node = following
    return node if node.routes else None


def _allowed(node: _Node) -> list[str]:
    methods = set(node.routes)
    return sorted({*methods, "HEAD"} if "GET" in methods else methods)
