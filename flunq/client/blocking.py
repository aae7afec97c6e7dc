"""The client for code without an event loop: the same calls, each returning when it is done.

from flunq.client import blocking

with blocking.connect() as client:
    run = client.start("orders", input={"id": 7})
    print(run.result())
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from flunq.client.connecting import connect as connect_async

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator, Sequence

    from flunq.client.client import Client
    from flunq.client.resources import Fetching
    from flunq.client.run import Run
    from flunq.config import Loaded
    from flunq.core.events import LazyEvent
    from flunq.core.protocol import Definition, DefinitionText, Details, Result, Summary

T = TypeVar("T")
Summaries: TypeAlias = "list[Summary]"
Events: TypeAlias = "list[LazyEvent]"


@contextmanager
def connect(loaded: Loaded | None = None, **target: str | None) -> Iterator[BlockingClient]:
    """Connect as :func:`flunq.connect` does, with the same arguments."""
    with _Loop() as loop:
        context = connect_async(loaded, **target)
        client = loop.run(context.__aenter__())
        try:
            yield BlockingClient(client, loop)
        finally:
            loop.run(context.__aexit__(None, None, None))


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="flunq", daemon=True)

    def __enter__(self) -> _Loop:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what the coroutine returns; Ctrl-C while waiting cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


class BlockingRun:
    """An execution as its starter sees it."""

    def __init__(self, run: Run, loop: _Loop) -> None:
        self.id = run.id
        self.created = run.created
        """False if this start found the execution that an earlier one had made."""
        self._run = run
        self._loop = loop

    def __repr__(self) -> str:
        return repr(self._run)

    @property
    def status(self) -> str:
        """The status when it was last heard of."""
        return self._run.status

    def wait(self, timeout: float | None = None) -> Result:
        """Wait until it has ended, however; raises WaitTimeoutError."""
        return self._loop.run(self._run.wait(timeout))

    def result(self, timeout: float | None = None) -> Any:
        """Wait for its output; raises ExecutionFailedError if it faulted or was cancelled."""
        return self._loop.run(self._run.result(timeout))


class BlockingClient:
    """A connection to a cluster; made by :func:`connect`."""

    def __init__(self, client: Client, loop: _Loop) -> None:
        self._client = client
        self._loop = loop

    def start(
        self,
        workflow: str,
        input: Any = None,
        *,
        id: str | None = None,
        tags: dict[str, str] | None = None,
    ) -> BlockingRun:
        """Start an execution; returns once the start is durable."""
        run = self._loop.run(self._client.start(workflow, input, id=id, tags=tags))
        return BlockingRun(run, self._loop)

    def run(self, execution: str) -> BlockingRun:
        """Return a handle to an execution that was started before."""
        return BlockingRun(self._client.run(execution), self._loop)

    def result(self, execution: str, *, timeout: float | None = None) -> Result:
        """Wait until an execution has ended; raises WaitTimeoutError."""
        return self._loop.run(self._client.result(execution, timeout=timeout))

    def get(self, execution: str) -> Details:
        """Return everything about an execution but its history."""
        return self._loop.run(self._client.get(execution))

    def list(
        self,
        *,
        limit: int = 20,
        status: Sequence[str] | None = None,
        workflow: str | None = None,
        prefix: str = "",
    ) -> Summaries:
        """Return the newest executions."""
        page = self._client.list(limit=limit, status=status, workflow=workflow, prefix=prefix)
        return self._loop.run(page)

    def history(self, execution: str) -> Events:
        """Return the events of an execution so far, in order."""

        async def collect() -> Events:
            return [event async for event in self._client.history(execution)]

        return self._loop.run(collect())

    def cancel(self, execution: str, reason: str = "") -> str:
        """End an execution as cancelled; returns its status."""
        return self._loop.run(self._client.cancel(execution, reason))

    def suspend(self, execution: str, reason: str = "") -> str:
        """Let an execution dispatch nothing new; returns its status."""
        return self._loop.run(self._client.suspend(execution, reason))

    def resume(self, execution: str) -> str:
        """Let a suspended execution go on; returns its status."""
        return self._loop.run(self._client.resume(execution))

    def delete(self, execution: str) -> str:
        """Forget an execution that has ended."""
        return self._loop.run(self._client.delete(execution))

    def apply(self, text: str, *, fetching: Fetching | None = None) -> dict[str, Any]:
        """Register a definition (YAML or JSON): name, version, digest, whether it is new."""
        return self._loop.run(self._client.apply(text, fetching=fetching))

    def workflow(self, name: str) -> DefinitionText:
        """Return a definition as it was written."""
        return self._loop.run(self._client.workflow(name))

    def workflows(self, prefix: str = "") -> Sequence[Definition]:
        """Return all registered versions."""
        return self._loop.run(self._client.workflows(prefix))

    def emit(self, events: Iterable[dict[str, Any]]) -> Sequence[int]:
        """Publish CloudEvents."""
        return self._loop.run(self._client.emit(events))
