"""The walk over a document that calls the semantic rules at the values they are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.reading import rules
from flunq.core.reading.explain import suggestion
from flunq.core.reading.limits import MAX_PROBLEMS
from flunq.core.reading.plan import FREE, Plan, document_plan
from flunq.core.reading.pointers import child

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flunq.core.reading.problems import Problem
    from flunq.core.reading.source import Source

_NO_TASKS: dict[str, int] = {}
_MAX_GUESSES = 30


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What is visible at one place of a document."""

    variables: frozenset[str] = rules.STANDARD_VARIABLES
    siblings: Mapping[str, int] = _NO_TASKS
    """Names of the task list that the place is in, with their indexes."""
    side_by_side: bool = False
    """The tasks of that list are the branches of a fork."""

    def binding(self, *names: Any) -> Scope:
        """Return the scope with more variables."""
        texts = (name for name in names if isinstance(name, str))
        return msgspec.structs.replace(self, variables=self.variables.union(texts))


def check_rules(source: Source) -> list[Problem]:
    """Return what breaks a semantic rule; wrong structures are passed over."""
    return Visit(source).run()


class Visit:
    """One walk over one document, collecting problems."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.document: Any = source.value
        self.problems: list[Problem] = []
        self.guesses = 0
        self.task_names: set[str] = set()
        self.unknown_targets: list[tuple[str, str, Mapping[str, int]]] = []

    def run(self) -> list[Problem]:
        """Walk once and return what was found."""
        self._value(document_plan(), self.document, "", Scope())
        rules.check_root(self)
        rules.check_evaluation(self)
        rules.check_retention(self)
        rules.check_pause(self)
        rules.check_collecting(self)
        rules.check_document_traffic(self)
        for pointer, target, siblings in self.unknown_targets[:MAX_PROBLEMS]:
            rules.report_unknown_target(self, pointer, target, siblings)
        return self.problems

    def complain(
        self, pointer: str, message: str, rule: str,
        *, hint: str | None = None, key: bool = False, offset: int | None = None,
    ) -> None:  # fmt: skip
        """Record a problem at a value, its key, or a character of its text."""
        if len(self.problems) >= MAX_PROBLEMS:
            return
        problem = self.source.problem(pointer, message, rule, hint=hint, key=key)
        if offset is not None:
            line, column = self.source.text_position(pointer, offset)
            problem = msgspec.structs.replace(problem, line=line, column=column)
        self.problems.append(problem)

    def suggestion(self, name: str, candidates: Iterable[str]) -> str:
        """Return ``; did you mean 'x'?``, or nothing; comparing names is slow, so not for ever."""
        self.guesses += 1
        return suggestion(name, candidates) if self.guesses <= _MAX_GUESSES else ""

    def names_of(self, component: str) -> list[str]:
        """Return the names that ``use`` declares."""
        use = self.document.get("use") if isinstance(self.document, dict) else None
        declared = use.get(component) if isinstance(use, dict) else None
        if not isinstance(declared, dict | list):
            return []
        return [name for name in declared if isinstance(name, str)]

    def _value(self, plan: Plan, value: Any, pointer: str, scope: Scope) -> None:
        kind = type(value)
        if kind is str:
            rules.check_text(self, plan.text_role, value, pointer, scope)
        elif kind is dict:
            self._object(plan, value, pointer, scope)
        elif kind is list:
            if plan.container_role == "opaque":
                return
            inner = self._enter_list(plan, value, pointer, scope)
            item_plan = plan.items or FREE
            for index, item in enumerate(value):
                self._value(item_plan, item, f"{pointer}/{index}", inner)

    def _object(self, plan: Plan, value: dict[str, Any], pointer: str, scope: Scope) -> None:
        role = plan.container_role
        if role is not None:
            if role == "opaque":
                return
            scope = rules.check_object(self, role, value, pointer, scope)
        properties, others = plan.properties, plan.additional or FREE
        for key, item in value.items():
            inner = properties.get(key, others)
            if key == "with" and plan.calls:
                inner = plan.calls.get(str(value.get("call")), FREE)
            self._value(inner, item, child(pointer, key), scope)

    def _enter_list(self, plan: Plan, value: list[Any], pointer: str, scope: Scope) -> Scope:
        if plan.container_role == "switch":
            rules.check_switch(self, value, pointer, scope)
        if plan.container_role != "tasks":
            return scope
        names = rules.check_names(self, value, pointer, "task")
        self.task_names.update(names)
        branches = pointer.endswith("/fork/branches")
        return msgspec.structs.replace(scope, siblings=names, side_by_side=branches)
