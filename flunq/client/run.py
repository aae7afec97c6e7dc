"""A handle to one execution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.errors import ExecutionFailedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.client.client import Client
    from flunq.core.events import LazyEvent
    from flunq.core.protocol import Details, Result


class Run:
    """An execution as its starter sees it."""

    def __init__(self, client: Client, id: str, status: str, *, created: bool = False) -> None:
        self.id = id
        self.status = status
        """The status when the handle was made."""
        self.created = created
        """False if this start found the execution that an earlier one had made."""
        self._client = client

    def __repr__(self) -> str:
        return f"<Run {self.id} {self.status}>"

    async def wait(self, timeout: float | None = None) -> Result:  # noqa: ASYNC109 - it is the API's word
        """Wait until it has ended, however; raises WaitTimeoutError."""
        result = await self._client.result(self.id, timeout=timeout)
        self.status = result.status
        return result

    async def result(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - it is the API's word
        """Wait for its output; raises ExecutionFailedError if it faulted or was cancelled."""
        ended = await self.wait(timeout)
        if ended.status == "completed":
            return ended.output
        failure = ended.failure
        what = f": {failure.title or failure.type}" if failure else ""
        raise ExecutionFailedError(
            f"execution {self.id} is {ended.status}{what}",
            hint=f"see what happened: flunq history {self.id}",
            execution=self.id,
            outcome=ended.status,
            error=None if failure is None else _plain(failure),
        )

    async def get(self) -> Details:
        """Return everything about it but its history."""
        return await self._client.get(self.id)

    def history(self) -> AsyncIterator[LazyEvent]:
        """Yield its events so far."""
        return self._client.history(self.id)

    async def cancel(self, reason: str = "") -> str:
        """End it as cancelled."""
        return await self._client.cancel(self.id, reason)

    async def suspend(self, reason: str = "") -> str:
        """Let it dispatch nothing new."""
        return await self._client.suspend(self.id, reason)

    async def resume(self) -> str:
        """Let it go on."""
        return await self._client.resume(self.id)


def _plain(failure: Any) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(failure)
    return plain
