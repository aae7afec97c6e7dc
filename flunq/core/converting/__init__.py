"""Conversion of Serverless Workflow 0.8 documents into version 1.0.

States become tasks of the main list under their own names. Between tasks flows what the old
language calls state data: a task whose result is added to it merges the two in ``output.as``.
What has no counterpart is left out and listed with its place in the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.converting.document import convert_workflow
from flunq.core.converting.findings import Findings, Node
from flunq.core.converting.workspace import SECTIONS, Work
from flunq.core.reading import InvalidDocument, Problem, read_source

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Conversion", "convert_document", "files_of"]


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a conversion."""

    document: dict[str, Any]
    problems: tuple[Problem, ...]
    """What could not be converted, in the order of the text."""


def convert_document(
    text: str | bytes,
    *,
    name: str,
    namespace: str = "default",
    included: Mapping[str, Any] | None = None,
) -> Conversion:
    """Convert a document; raise InvalidDocument when it is none.

    ``included`` has the content of files by the URI under which the document refers to them.
    """
    source = read_source(text, name=name)
    findings = Findings(source)
    root = Node(source.value, "", findings)
    if not isinstance(source.value, dict) or not isinstance(source.value.get("states"), list):
        message = "this is no Serverless Workflow 0.8 document: it has no states"
        hint = "documents with 'document' and 'do' are of version 1.0 already"
        problem = source.problem("", message, "not-0.8", hint=hint)
        raise InvalidDocument([problem], name=name)
    work = Work(root, findings, namespace, included or {})
    document = convert_workflow(work)
    return Conversion(document=document, problems=findings.problems)


def files_of(text: str | bytes, *, name: str) -> list[str]:
    """Return the URIs of files that hold parts of a document."""
    value = read_source(text, name=name).value
    if not isinstance(value, dict):
        return []
    found = (value.get(section) for section in SECTIONS)
    return [uri for uri in found if isinstance(uri, str)]
