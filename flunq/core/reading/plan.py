"""What each value of a document is to the semantic rules, read off our JSON Schema.

The schema marks values with ``x-role``. A plan is the schema of one place without its validation:
which role a text or a container has there, and the plans of the members. Alternatives are merged,
since they differ by type or by key; only the arguments of a call depend on a neighbour.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from flunq.resources import load_schema

_TEXT = {"string", "integer", "number", "boolean", "null"}
_CONTAINERS = {"object", "array"}


class Plan:
    """The roles at one place of a document and the plans below it."""

    __slots__ = ("additional", "calls", "container_role", "items", "properties", "text_role")

    def __init__(self) -> None:
        self.text_role: str | None = None
        self.container_role: str | None = None
        self.properties: dict[str, Plan] = {}
        self.additional: Plan | None = None
        self.items: Plan | None = None
        self.calls: dict[str, Plan] = {}
        """Plans of the arguments, by protocol; only in the plan of a task."""


FREE = Plan()
"""A value of the user's: texts are constants or ``${ ... }``."""


@cache
def document_plan() -> Plan:
    """Return the plan of a whole document."""
    schema = load_schema("workflow")
    compiler = _Compiler(schema["$defs"])
    plan = compiler.plan(schema)
    compiler.inherit()
    return plan


class _Compiler:
    """Turns schemas into plans; recursive definitions become shared plans."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self.definitions = definitions
        self.done: dict[str, Plan] = {}
        self.heirs: list[tuple[Plan, Plan]] = []
        """Plans that take over a definition, which may still be incomplete: it can be recursive."""

    def inherit(self) -> None:
        """Copy what the heirs lack; as often as definitions are built on definitions."""
        while any(_take_over(heir, definition) for heir, definition in self.heirs):
            pass

    def plan(self, schema: Any) -> Plan:
        if isinstance(schema, dict) and "$ref" in schema and "x-role" not in schema:
            return self._definition(schema["$ref"].rpartition("/")[2])
        plan = Plan()
        self._merge(schema, plan)
        return plan

    def _definition(self, name: str) -> Plan:
        if name not in self.done:
            self.done[name] = plan = Plan()
            self._merge(self.definitions[name], plan)
        return self.done[name]

    def _merge(self, schema: Any, plan: Plan) -> None:
        if not isinstance(schema, dict):
            return
        self._take_role(schema, plan)
        if "$ref" in schema:
            self.heirs.append((plan, self._definition(schema["$ref"].rpartition("/")[2])))
        for key, value in schema.get("properties", {}).items():
            plan.properties[key] = self.plan(value)
        if isinstance(schema.get("additionalProperties"), dict):
            plan.additional = self.plan(schema["additionalProperties"])
        if "items" in schema:
            plan.items = self.plan(schema["items"])
        for keyword in ("oneOf", "anyOf", "allOf"):
            for branch in schema.get(keyword, ()):
                self._merge_branch(branch, plan)

    def _merge_branch(self, branch: dict[str, Any], plan: Plan) -> None:
        if "if" not in branch:
            self._merge(branch, plan)
            return
        protocol = branch["if"]["properties"]["call"]["const"]
        plan.calls[protocol] = self.plan(branch["then"]["properties"]["with"])

    @staticmethod
    def _take_role(schema: dict[str, Any], plan: Plan) -> None:
        role = schema.get("x-role")
        if role is None:
            return
        types = schema.get("type", [*_TEXT, *_CONTAINERS])
        names = {types} if isinstance(types, str) else set(types)
        if names & _TEXT and plan.text_role is None:
            plan.text_role = role
        if names & _CONTAINERS and role != "expression":
            plan.container_role = plan.container_role or role


def _take_over(heir: Plan, definition: Plan) -> bool:
    changed = False
    for name in ("text_role", "container_role", "additional", "items"):
        value = getattr(definition, name)
        if value is not None and getattr(heir, name) is None:
            setattr(heir, name, value)
            changed = True
    for key, plan in definition.properties.items():
        if key not in heir.properties:
            heir.properties[key] = plan
            changed = True
    return changed
