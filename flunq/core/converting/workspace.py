"""What all parts of one conversion share: definitions by name, names given out, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.converting.expressions import Rewriter
from flunq.core.converting.names import Names, label, semantic_version, variable
from flunq.core.duration import DurationError, parse_duration
from flunq.core.reading.problems import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flunq.core.converting.findings import Findings, Node

Entry = dict[str, Any]
"""An item of a task list: one name and its task."""
SECTIONS = ("functions", "events", "retries", "errors", "auth", "secrets", "timeouts", "constants")
"""Parts of a document that may lie in files of their own."""


class Work:
    """One conversion."""

    def __init__(
        self, root: Node, findings: Findings, namespace: str, included: Mapping[str, Any]
    ) -> None:
        self.findings = findings
        self.namespace = namespace
        self.absent: set[str] = set()
        """Sections in files that are not at hand."""
        self.root = self._with_sections(root, included)
        self.functions = self._named("functions")
        self.events = self._named("events")
        self.retries = self._named("retries")
        self.errors = self._named("errors")
        self.auth = self._named("auth")
        self.rewriter = Rewriter(
            {
                name: function.text("operation")
                for name, function in self.functions.items()
                if function.text("type") == "expression"
            }
        )
        self.timeouts = self.root.object("timeouts")
        self.name = label(self.root.text("id") or self.root.text("key") or self.root.text("name"))
        self.top = Names()
        """Names of the main task list."""
        self.retry_names: dict[str, str] = {}
        """Retry policies that are used, by their old names."""
        self.auto_retries = self.root.flag("autoRetries")
        self.started_with: frozenset[str] = frozenset()
        """Correlation attributes of the events that start the workflow."""

    def _with_sections(self, root: Node, included: Mapping[str, Any]) -> Node:
        """Put the content of files in the place of their URIs."""
        value = dict(root.value)
        for name in SECTIONS:
            uri = value.get(name)
            if not isinstance(uri, str):
                continue
            if uri in included:
                content = included[uri]
                value[name] = content.get(name, content) if isinstance(content, dict) else content
                continue
            root.leave_out(
                name, f"{quoted(uri)} is not at hand, so its {name} were left out", "external-file",
                hint="copy its content into the document, or put the file beside it",
            )  # fmt: skip
            self.absent.add(name)
            del value[name]
        return type(root)(value, root.pointer, root.findings)

    def _named(self, section: str) -> dict[str, Node]:
        named: dict[str, Node] = {}
        for node in self.root.objects(section):
            name = node.text("name")
            if not name:
                node.problem("this has no name and was left out", "no-name")
            elif name in named:
                node.problem(f"{quoted(name)} is defined twice", "duplicate-name")
            else:
                named[name] = node
        return named

    def find(self, section: str, name: Node | None) -> Node | None:
        """Return the definition that a name means; an unknown one is a problem."""
        if name is None or not name.expect(str):
            return None
        found: Node | None = getattr(self, section).get(name.value)
        if found is None and section not in self.absent:
            what = f"{section} has no {quoted(name.value)}"
            name.problem(what, "unknown-reference")
        return found

    def duration(self, node: Node | None) -> str | None:
        """Return a duration, if there is one and it can be used."""
        if node is None or not node.expect(str):
            return None
        try:
            parse_duration(node.value)
        except DurationError as error:
            node.problem(f"left out: {error}", "duration")
            return None
        return str(node.value)

    def timeout(self, name: str, *owners: Node) -> str | None:
        """Return a timeout of the nearest owner that has it, or else the workflow's."""
        for owner in (*owners, None):
            timeouts = self.timeouts if owner is None else owner.object("timeouts")
            found = timeouts.get(name)
            if found is None and owner is not None:  # version 0.6 had it there, and many still do
                found = owner.get(name)
            if found is not None and isinstance(found.value, dict):
                found.leave_out(
                    "single",
                    "a time limit for one of several tries of a state has no counterpart",
                    "timeout",
                )
                found = found.get("total")
            if found is not None:
                return self.duration(found)
        return None

    def retry(self, name: str) -> str:
        """Return the new name of a retry policy and note that it is used."""
        if name not in self.retry_names:
            self.retry_names[name] = variable(name, "retry")
        return self.retry_names[name]


def after(duration: str) -> dict[str, str]:
    """Return a timeout."""
    return {"after": duration}


def reference(workflow: str) -> str:
    """Return the new name of a workflow that is referred to by its id."""
    return label(workflow)


def version(node: Node | None) -> str | None:
    """Return a version that is written down as a text, in three numbers."""
    if node is None or not node.expect(str):
        return None
    found = semantic_version(node.value)
    if found is None:
        node.problem(f"{quoted(node.value)} is no version number; it was left out", "version")
    return found
