"""How values become parts of a request: the styles of parameters, and percent encoding."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from flunq.sdk.executor import TaskError
from flunq.sdk.web.forms import plain_text

_RESERVED = ":/?#[]@!$&'()*+,;="
_STYLES = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}
_COLLECTIONS = {
    "csv": ("form", False),
    "ssv": ("spaceDelimited", False),
    "tsv": ("tabDelimited", False),
    "pipes": ("pipeDelimited", False),
    "multi": ("form", True),
}
_DELIMITERS = {"form": ",", "spaceDelimited": "%20", "tabDelimited": "%09", "pipeDelimited": "|"}


class Style:
    """How one parameter is written."""

    def __init__(self, parameter: dict[str, Any]) -> None:
        self.name: str = parameter["name"]
        self.place = str(parameter.get("in"))
        self.media = next(iter(parameter.get("content") or ()), None)
        safe = _RESERVED if parameter.get("allowReserved") is True else ""
        self._safe = safe if self.place == "query" else ""
        style = str(parameter.get("style") or _STYLES.get(self.place, "form"))
        explode = parameter.get("explode")
        if "collectionFormat" in parameter:
            style, explode = _collection(parameter["collectionFormat"], self.place)
        elif "schema" not in parameter and "content" not in parameter and "type" in parameter:
            # Version 2.0, where arrays are separated by commas unless told otherwise.
            explode = False
        self.style = style
        self.explode = style == "form" if explode is None else explode is True

    def encoded(self, value: Any) -> str:
        """Percent-encode one plain value."""
        return quote(plain_text(value), safe=self._safe)

    def in_path(self, value: Any) -> str:
        """Return a value for its place in the path; raises ValueError when it would change it."""
        items = self._items(value)
        if self.style == "label":
            return "." + ("." if self.explode else ",").join(items)
        if self.style == "matrix":
            return self._matrix(value, items)
        text = ",".join(items)
        if text in ("", ".", ".."):
            raise ValueError("would lead to another path")
        return text

    def in_query(self, value: Any) -> list[str]:
        """Return the ``name=value`` parts for the query, or for a cookie."""
        name = quote(self.name, safe="")
        if self.media is not None or not isinstance(value, (list, dict)):
            return [f"{name}={self._single(value)}"]
        if self.style == "deepObject" and isinstance(value, dict):
            return self._deep(self.name, value)
        if isinstance(value, dict) and self.explode:
            return [f"{quote(key, safe='')}={self.encoded(v)}" for key, v in _present(value)]
        if self.explode:
            return [f"{name}={self.encoded(item)}" for item in value]
        delimiter = _DELIMITERS.get(self.style, ",")
        return [f"{name}={delimiter.join(self._items(value))}"]

    def in_header(self, value: Any) -> str:
        """Return the text of a header; nothing is escaped there."""
        if self.media is not None or not isinstance(value, (list, dict)):
            return self._content(value)
        if isinstance(value, list):
            return ",".join(plain_text(item) for item in value)
        pairs = [(key, plain_text(member)) for key, member in _present(value)]
        return ",".join(f"{k}={v}" if self.explode else f"{k},{v}" for k, v in pairs)

    def _items(self, value: Any) -> list[str]:
        if self.media is not None or not isinstance(value, (list, dict)):
            return [self._single(value)]
        if isinstance(value, list):
            return [self.encoded(item) for item in value]
        pairs = [(quote(key, safe=""), self.encoded(member)) for key, member in _present(value)]
        if self.explode:
            return [f"{key}={member}" for key, member in pairs]
        return [part for pair in pairs for part in pair]

    def _matrix(self, value: Any, items: list[str]) -> str:
        if self.explode and isinstance(value, dict):
            return "".join(f";{item}" for item in items)
        if self.explode and isinstance(value, list):
            return "".join(f";{self.name}={item}" for item in items)
        return f";{self.name}={','.join(items)}"

    def _deep(self, prefix: str, value: dict[str, Any]) -> list[str]:
        parts: list[str] = []
        for key, member in _present(value):
            name = f"{prefix}[{key}]"
            if isinstance(member, dict):
                parts += self._deep(name, member)
            else:
                items = member if isinstance(member, list) else [member]
                parts += [f"{quote(name, safe='[]')}={self.encoded(item)}" for item in items]
        return parts

    def _single(self, value: Any) -> str:
        return quote(self._content(value), safe=self._safe)

    def _content(self, value: Any) -> str:
        if self.media is not None and "json" in self.media:
            return msgspec.json.encode(value).decode()
        return plain_text(value)


def _present(value: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(key, member) for key, member in value.items() if member is not None]


def _collection(name: Any, place: str) -> tuple[str, bool]:
    if name not in _COLLECTIONS:
        detail = f"there is no collectionFormat {name!r}"
        raise TaskError("validation", 400, "The OpenAPI document cannot be used", detail)
    style, explode = _COLLECTIONS[name]
    return ("simple" if place in ("path", "header") else style), explode
