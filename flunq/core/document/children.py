"""Compiles ``run: workflow``: which definition, and with what input."""

from __future__ import annotations

from typing import Any

from flunq.core.document import policies
from flunq.core.document.model import Child


def compile_child(run: dict[str, Any]) -> Child:
    """Return the compiled start of another workflow."""
    workflow = run["workflow"]
    named = {name: workflow.get(name, "") for name in ("namespace", "name", "version")}
    return Child(
        workflow=policies.template(named),
        input=policies.template(workflow["input"]) if "input" in workflow else None,
        awaited=run.get("await", True) is not False,
    )
