"""``use.extensions``: which tasks each of them extends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.document import policies
from flunq.core.document.model import NO_STAGE, Extension, Flow, Task

if TYPE_CHECKING:
    from collections.abc import Callable

COMPOSITES = frozenset({"do", "fork"})
"""What ``extend: composite`` means: tasks that hold other tasks and have no word of their own."""


class Extensions:
    """The extensions of a document, in order."""

    def __init__(self, use: dict[str, Any]) -> None:
        self._entries: list[tuple[str, str, dict[str, Any]]] = []
        for index, entry in enumerate(use.get("extensions") or []):
            for name, definition in entry.items():
                self._entries.append((_reference(index, name), name, definition))

    def around(self, kind: str) -> tuple[str, ...]:
        """Return the references of those that extend tasks of a kind, the outermost first."""
        return tuple(
            reference
            for reference, _, definition in self._entries
            if _extends(str(definition.get("extend")), kind)
        )

    def tasks(self, scope: Callable[[list[dict[str, Any]], str, bool], str]) -> list[Task]:
        """Compile them; ``scope`` compiles a list, in which ``exit`` may mean to leave."""
        return [
            _task(
                reference,
                name,
                definition,
                Extension(
                    when=policies.condition(definition.get("when")),
                    before=scope(definition.get("before") or [], f"{reference}/before", True),
                    after=scope(definition.get("after") or [], f"{reference}/after", False),
                ),
            )
            for reference, name, definition in self._entries
        ]


def _reference(index: int, name: str) -> str:
    return f"/use/extensions/{index}/" + name.replace("~", "~0").replace("/", "~1")


def _extends(extend: str, kind: str) -> bool:
    return extend in ("all", kind) or (extend == "composite" and kind in COMPOSITES)


def _task(reference: str, name: str, definition: dict[str, Any], spec: Extension) -> Task:
    return Task(
        name=name,
        reference=reference,
        kind="extension",
        handler="extension",
        definition=definition,
        condition=None,
        input=NO_STAGE,
        output=NO_STAGE,
        export=NO_STAGE,
        timeout=None,
        flow=Flow(),
        following=Flow(),
        spec=spec,
    )
