"""Which executors a process hosts: all installed plugins, and the functions it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.sdk import registry
from flunq.sdk.functions import FunctionExecutor, default_functions, load_functions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flunq.sdk.executor import Executor


def load_executors(functions: Iterable[str] = ()) -> list[Executor]:
    """Load modules or files with functions and every plugin; return what runs their tasks."""
    for target in functions:
        load_functions(target)
    plugins, _ = registry.load_executors()
    executors: list[Executor] = [plugin() for plugin in plugins.values()]
    if len(default_functions):
        executors.append(FunctionExecutor())
    return executors
