"""What a conversion finds: values with their places, and the problems at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.reading.pointers import child
from flunq.core.reading.problems import Problem, in_text_order, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.core.reading.source import Source

_KINDS: dict[type, str] = {dict: "an object", list: "an array", str: "a text", bool: "a boolean"}
_MAX_PROBLEMS = 500


class Findings:
    """Collects the problems of one document."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._problems: list[Problem] = []

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return what was found, in the order of the text."""
        return in_text_order(self._problems)

    def add(
        self, pointer: str, message: str, rule: str, *, hint: str | None = None, key: bool = False
    ) -> None:
        """Note a problem at a value or at its key."""
        if len(self._problems) < _MAX_PROBLEMS:
            problem = self._source.problem(pointer, message, rule, hint=hint, key=key)
            self._problems.append(problem)


class Node:
    """A value of the old document: where it is, and typed ways into it.

    A member of the wrong type is a problem and counts as absent, so that one mistake does not keep
    the rest from being converted.
    """

    __slots__ = ("findings", "pointer", "value")

    def __init__(self, value: Any, pointer: str, findings: Findings) -> None:
        self.value = value
        self.pointer = pointer
        self.findings = findings

    def __contains__(self, name: str) -> bool:
        return isinstance(self.value, dict) and self.value.get(name) is not None

    def child(self, name: str | int, value: Any) -> Node:
        """Return a node below this one."""
        return Node(value, child(self.pointer, name), self.findings)

    def problem(self, message: str, rule: str, *, hint: str | None = None) -> None:
        """Note a problem here."""
        self.findings.add(self.pointer, message, rule, hint=hint)

    def leave_out(self, name: str, message: str, rule: str, *, hint: str | None = None) -> None:
        """Note that a member, if there is one, has no counterpart."""
        if name in self:
            self.findings.add(child(self.pointer, name), message, rule, hint=hint, key=True)

    def get(self, name: str) -> Node | None:
        """Return a member of any type but null."""
        return self.child(name, self.value[name]) if name in self else None

    def text(self, name: str, default: str = "") -> str:
        """Return a text member; numbers and booleans are not texts."""
        return str(self._typed(name, str, default))

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean member."""
        return bool(self._typed(name, bool, default))

    def object(self, name: str) -> Node:
        """Return an object member, or an empty one."""
        return self.child(name, self._typed(name, dict, {}))

    def items(self, name: str) -> list[Node]:
        """Return the items of an array member."""
        array = self.child(name, self._typed(name, list, []))
        return [array.child(index, item) for index, item in enumerate(array.value)]

    def objects(self, name: str) -> list[Node]:
        """Return the items of an array member that are objects; others are problems."""
        return [item for item in self.items(name) if item.expect(dict)]

    def texts(self, name: str) -> list[Node]:
        """Return the items of an array member that are texts; others are problems."""
        return [item for item in self.items(name) if item.expect(str)]

    def members(self) -> Iterator[tuple[str, Node]]:
        """Yield the members of an object."""
        for name, value in self.value.items():
            yield name, self.child(name, value)

    def expect(self, kind: type) -> bool:
        """Tell whether the value is of a type; it is a problem if not."""
        if type(self.value) is kind:
            return True
        self.problem(f"this has to be {_KINDS[kind]}", "wrong-type")
        return False

    def only(self, *known: str) -> None:
        """Note members that the old language does not have here."""
        for name in self.value:
            if name not in known:
                self.leave_out(
                    name, f"{quoted(name)} is not known here and was left out", "unknown-property"
                )

    def _typed(self, name: str, kind: type, default: Any) -> Any:
        found = self.get(name)
        return found.value if found is not None and found.expect(kind) else default
