"""The DSL document, compiled for execution."""

from __future__ import annotations

from flunq.core.document.compiler import compile_workflow
from flunq.core.document.model import Flow, Task, Workflow

__all__ = ["Flow", "Task", "Workflow", "compile_workflow"]
