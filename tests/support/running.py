"""Runs ``run`` tasks with their executors, and looks at what they leave on the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.sdk.context import TaskContext
from flunq.sdk.executor import TaskError
from flunq.sdk.testing import LOCAL, make_call, make_context
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from flunq.sdk.executor import Executor

OF_THE_CALL = ("task", "execution", "key", "attempt", "deadline", "traceparent")


class Runner:
    """Runs tasks of one executor, as a pool does; ``settings`` differ from those of a laptop."""

    def __init__(self, executor: Executor, **settings: Any) -> None:
        self.executor = executor
        self.context = make_context(msgspec.structs.replace(LOCAL, **settings))

    async def __call__(self, kind: str, process: dict[str, Any], **members: Any) -> Any:
        changes = {name: members.pop(name) for name in OF_THE_CALL if name in members}
        of = {"namespace": "test", "workflow": "sample", "task": "step"}
        call = make_call({kind: process, "of": of} | members, kind=f"run:{kind}", **changes)
        return await self.executor.execute(call, TaskContext(self.context))

    async def shell(self, command: str, *arguments: Any, **members: Any) -> Any:
        """Run a command; members of the process are ``stdin`` and ``environment``."""
        process: dict[str, Any] = {"command": command, "arguments": list(arguments)}
        for name in ("stdin", "environment"):
            if name in members:
                process[name] = members.pop(name)
        return await self("shell", process, **members)

    async def fails(self, kind: str, process: dict[str, Any], **members: Any) -> TaskError:
        """Run a task that fails and return its error."""
        with pytest.raises(TaskError) as caught:
            await self(kind, process, **members)
        return caught.value


def short(error: TaskError) -> tuple[str, int]:
    """Return the type of a DSL error, without the part that all have, and its status."""
    return error.type.rpartition("/")[2], error.status


def folders_in(path: Path) -> list[Path]:
    """Return the folders of programs below the folder that ``TMPDIR`` names."""
    return list(path.glob("flunq-run-*"))


async def numbers_in(path: Path, count: int) -> list[int]:
    """Return the numbers that programs have written to a file, once there are so many."""
    await eventually(lambda: path.exists() and len(path.read_text().split()) >= count)
    return [int(word) for word in path.read_text().split()]
