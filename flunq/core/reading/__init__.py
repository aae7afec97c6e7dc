"""Reading a workflow document: text in, a checked :class:`Document` or all its problems out."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from flunq.core.reading.inputs import read_input
from flunq.core.reading.problems import InvalidDocument, Problem, in_text_order
from flunq.core.reading.source import Source, read_source

__all__ = [
    "Document",
    "InvalidDocument",
    "Problem",
    "Source",
    "called_functions",
    "check_document",
    "check_source",
    "check_value",
    "digest_of",
    "read_document",
    "read_input",
    "read_source",
]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow document without a known problem."""

    value: dict[str, Any]
    source: Source
    digest: str
    """SHA-256 of the canonical JSON: the same content has the same digest."""
    namespace: str
    name: str
    version: str


def read_document(text: str | bytes, *, name: str) -> Document:
    """Read and check a document; raise :class:`InvalidDocument` with everything that is wrong."""
    source = read_source(text, name=name)
    problems = _problems(source)
    if problems:
        raise InvalidDocument(problems, name=name)
    header = source.value["document"]
    return Document(
        value=source.value,
        source=source,
        digest=digest_of(source.value),
        namespace=header["namespace"],
        name=header["name"],
        version=header["version"],
    )


def check_document(text: str | bytes, *, name: str) -> list[Problem]:
    """Return everything that is wrong with a document, in the order of the text."""
    try:
        return list(in_text_order(_problems(read_source(text, name=name))))
    except InvalidDocument as invalid:
        return list(invalid.problems)


def check_value(value: Any) -> list[Problem]:
    """Return everything that is wrong with a document whose text is not at hand.

    The problems have pointers; line and column are those of the beginning, 1 and 1.
    """
    try:
        text = msgspec.json.encode(value)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        message = f"the document is not JSON: {error}"
        return [Problem(path="", line=1, column=1, message=message, rule="json-syntax")]
    problems = check_document(text, name="document.json")
    return [msgspec.structs.replace(problem, line=1, column=1) for problem in problems]


def check_source(source: Source) -> list[Problem]:
    """Return everything that is wrong with a document that was read."""
    return _problems(source)


def called_functions(document: Document) -> list[tuple[str, str]]:
    """Return the calls that only a registered function can serve, as (name, pointer).

    Protocols, functions of ``use.functions``, catalog entries and URIs are not among them.
    """
    from flunq.core.document.addresses import is_function_address
    from flunq.core.reading.rules import called_names

    return [call for call in called_names(document.value) if not is_function_address(call[0])]


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hexadecimal."""
    return sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def _problems(source: Source) -> list[Problem]:
    from flunq.core.reading.schema import check_structure
    from flunq.core.reading.visit import check_rules

    problems = check_structure(source)
    told = {problem.path for problem in problems}
    # A duration is judged as a whole: a wrong unit in it has been told already.
    told_in = {path.rpartition("/")[0] for path in told}
    for problem in check_rules(source):
        if problem.path in told or (problem.rule == "duration" and problem.path in told_in):
            continue
        problems.append(problem)
    return problems
