"""A cluster that lives as long as a block of this process."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from flunq.errors import UnavailableError
from flunq.services.lasting import begun

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from flunq.services.supervisor import Supervisor


@asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[None]:
    """Run a cluster: ready when the block begins, stopped when it ends."""
    ready = asyncio.Event()
    ending = asyncio.create_task(supervisor.run(lambda _: ready.set()))
    try:
        await begun(ending, ready, UnavailableError("the cluster ended while it started"))
        with _cancelled_by(ending):
            yield
    finally:
        supervisor.request_stop()
        await asyncio.wait([ending])


@contextmanager
def _cancelled_by(ending: asyncio.Task[None]) -> Iterator[None]:
    """Ctrl-C ends the cluster first, as in ``flunq up``; what works with it ends then."""
    me = asyncio.current_task()
    assert me is not None

    def cancel(_: object) -> None:
        me.cancel()

    ending.add_done_callback(cancel)
    try:
        yield
    except asyncio.CancelledError:
        if ending.done():
            ending.result()
            raise KeyboardInterrupt from None
        raise
    finally:
        ending.remove_done_callback(cancel)
