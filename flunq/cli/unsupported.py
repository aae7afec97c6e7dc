"""Warn about what a valid document asks for and this version does not do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.cli import diagnostics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.core.reading import Document


def warn_unsupported(document: Document) -> None:
    """Name the tasks that would fault, and a schedule that nobody keeps."""
    for pointer, message in _unsupported(document):
        line, column = document.source.position(pointer, key=True)
        diagnostics.warn(f"{document.source.name}:{line}:{column}: {message}")


def _unsupported(document: Document) -> Iterator[tuple[str, str]]:
    from flunq.core.document.compiler import compile_workflow

    if "schedule" in document.value:
        yield "/schedule", "schedules are not kept by this version; start it with: flunq start"
    for task in compile_workflow(document.value, document.digest).tasks.values():
        if task.handler == "unsupported":
            yield task.reference, f"{task.spec.detail}; the task would fault"
