"""Run one executor or one function without an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.sdk.context import ExecutorContext, ExecutorSettings, TaskContext
from flunq.sdk.egress import EgressPolicy
from flunq.sdk.executor import JSON, Call, Executor
from flunq.sdk.functions import KIND, FunctionExecutor, Functions
from flunq.sdk.secrets import MappingSecrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOCAL = ExecutorSettings(egress=EgressPolicy.development(), programs=True)
"""Settings for tests: local addresses are reachable, local programs may run."""


def make_call(arguments: Any = None, *, kind: str = "test", **changes: Any) -> Call:
    """Return a call with plausible members; ``changes`` replaces any of them."""
    members: dict[str, Any] = {
        "execution": "execution-1",
        "task": "execution-1.step.1",
        "reference": "/do/0/step",
        "key": "execution-1:/do/0/step",
        "attempt": 1,
    }
    return Call(kind=kind, arguments=arguments, **(members | changes))


def make_context(
    settings: ExecutorSettings = LOCAL, *, secrets: Mapping[str, Any] | None = None
) -> ExecutorContext:
    """Return the surroundings of an executor."""
    return ExecutorContext(settings, secrets=MappingSecrets(secrets or {}))


async def run_executor(
    executor: Executor,
    arguments: Any = None,
    *,
    context: ExecutorContext | None = None,
    **changes: Any,
) -> JSON:
    """Start an executor, run one call, close it; raises what the executor raises."""
    shared = context or make_context()
    kind = changes.pop("kind", executor.kinds[0])
    await executor.start(shared)
    try:
        return await executor.execute(
            make_call(arguments, kind=kind, **changes), TaskContext(shared)
        )
    finally:
        await executor.aclose()
        shared.close()


async def run_function(function: Callable[..., Any], arguments: Any = None, **changes: Any) -> JSON:
    """Call a function as a workflow would, with conversion of arguments and result."""
    functions = Functions()
    functions.register(function, "function")
    return await run_executor(
        FunctionExecutor(functions), arguments, kind=f"{KIND}function", **changes
    )
