"""The client for code without an event loop: the same calls, each returning when it is done.

from flunq.client import blocking

with blocking.connect() as client:
    run = client.start("orders", input={"id": 7})
    print(run.result())

Each method is made of its asynchronous twin and has its arguments and documentation.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from flunq.client.access import AuditLog, Tokens
from flunq.client.alerts import Alerts
from flunq.client.approvals import Approvals
from flunq.client.archive import Archive
from flunq.client.client import Client
from flunq.client.connecting import connect as connect_async
from flunq.client.control import Control
from flunq.client.dead_letters import DeadLetters
from flunq.client.flow import Flow
from flunq.client.run import Run
from flunq.client.schedules import Schedules
from flunq.client.tenants import Tenants

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence

    from flunq.config import Loaded

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")
U = TypeVar("U")
B = TypeVar("B")
_END = object()


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
        finally:
            future.cancel()  # nothing to cancel, unless this thread was interrupted


class _Twin(Generic[S]):
    """Something of the client, and the loop that it lives in."""

    def __init__(self, wrapped: S, loop: _Loop) -> None:
        self._wrapped = wrapped
        self._loop = loop


def _giving(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]], made: Callable[[T, _Loop], U]
) -> Callable[Concatenate[_Twin[S], P], U]:
    """Return a method that waits for what ``method`` returns and makes something of it."""

    @wraps(method)
    def call(self: _Twin[S], /, *args: P.args, **kwargs: P.kwargs) -> U:
        return made(self._loop.run(method(self._wrapped, *args, **kwargs)), self._loop)

    return call


def _blocking(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[_Twin[S], P], T]:
    """Return a method that waits for what ``method`` returns."""
    return _giving(method, _as_it_is)


def _as_it_is(value: T, _: _Loop) -> T:
    return value


def _iterating(
    method: Callable[Concatenate[S, P], AsyncIterator[T]],
) -> Callable[Concatenate[_Twin[S], P], Iterator[T]]:
    """Return a method that yields what ``method`` yields, waiting for each."""

    @wraps(method)
    def call(self: _Twin[S], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return _drain(self._loop, method(self._wrapped, *args, **kwargs))

    return call


def _drain(loop: _Loop, items: AsyncIterator[T]) -> Iterator[T]:
    async def step() -> Any:
        return await anext(items, _END)

    async def close() -> None:
        if isinstance(items, AsyncGenerator):
            await items.aclose()

    try:
        while (item := loop.run(step())) is not _END:
            yield item
    finally:
        loop.run(close())


class BlockingRun(_Twin[Run]):
    """An execution as its starter sees it."""

    wait = _blocking(Run.wait)
    result = _blocking(Run.result)
    get = _blocking(Run.get)
    history = _iterating(Run.history)
    cancel = _blocking(Run.cancel)
    suspend = _blocking(Run.suspend)
    resume = _blocking(Run.resume)

    def __repr__(self) -> str:
        return repr(self._wrapped)

    @property
    def id(self) -> str:
        """Its id."""
        return self._wrapped.id

    @property
    def created(self) -> bool:
        """False if this start found the execution that an earlier one had made."""
        return self._wrapped.created

    @property
    def status(self) -> str:
        """The status when it was last heard of."""
        return self._wrapped.status


def _runs(runs: Sequence[Run], loop: _Loop) -> Sequence[BlockingRun]:
    return [BlockingRun(run, loop) for run in runs]


class _Part(Generic[B]):
    """A part of the client, such as ``client.archive``, as its twin."""

    def __init__(self, kind: Callable[[Any, _Loop], B]) -> None:
        self._kind = kind

    def __set_name__(self, owner: type[object], name: str) -> None:
        self._name = name
        self.__doc__ = getattr(Client, name).__doc__

    @overload
    def __get__(self, client: None, owner: type[object]) -> Self: ...

    @overload
    def __get__(self, client: _Twin[Client], owner: type[object]) -> B: ...

    def __get__(self, client: _Twin[Client] | None, owner: type[object]) -> Self | B:
        if client is None:
            return self
        return self._kind(getattr(client._wrapped, self._name), client._loop)


class BlockingArchive(_Twin[Archive]):
    """``client.archive``."""

    status = _blocking(Archive.status)
    flush = _blocking(Archive.flush)
    compact = _blocking(Archive.compact)
    rebuild = _blocking(Archive.rebuild)
    scrub = _blocking(Archive.scrub)
    events = _iterating(Archive.events)


class BlockingControl(_Twin[Control]):
    """``client.control``."""

    retry = _blocking(Control.retry)
    rewind = _blocking(Control.rewind)
    fork = _blocking(Control.fork)
    point = _blocking(Control.point)
    try_fork = _blocking(Control.try_fork)


class BlockingSchedules(_Twin[Schedules]):
    """``client.schedules``."""

    list = _blocking(Schedules.list)
    get = _blocking(Schedules.get)
    pause = _blocking(Schedules.pause)
    resume = _blocking(Schedules.resume)
    skip = _blocking(Schedules.skip)
    unskip = _blocking(Schedules.unskip)
    update = _blocking(Schedules.update)
    trigger = _blocking(Schedules.trigger)
    backfill = _iterating(Schedules.backfill)


class BlockingTokens(_Twin[Tokens]):
    """``client.tokens``."""

    create = _blocking(Tokens.create)
    list = _blocking(Tokens.list)
    revoke = _blocking(Tokens.revoke)
    rotate = _blocking(Tokens.rotate)
    link = _blocking(Tokens.link)


class BlockingAudit(_Twin[AuditLog]):
    """``client.audit``."""

    page = _blocking(AuditLog.page)
    entries = _iterating(AuditLog.entries)


class BlockingApprovals(_Twin[Approvals]):
    """``client.approvals``."""

    list = _blocking(Approvals.list)
    answer = _blocking(Approvals.answer)
    find = _blocking(Approvals.find)
    link = _blocking(Approvals.link)
    link_to = _blocking(Approvals.link_to)
    prepare = _blocking(Approvals.prepare)
    publish = _blocking(Approvals.publish)


class BlockingFlow(_Twin[Flow]):
    """``client.flow``."""

    breakers = _blocking(Flow.breakers)
    trip = _blocking(Flow.trip)
    reset = _blocking(Flow.reset)
    limits = _blocking(Flow.limits)
    set_limit = _blocking(Flow.set_limit)
    delete_limit = _blocking(Flow.delete_limit)
    held = _blocking(Flow.held)
    pauses = _blocking(Flow.pauses)
    pause_workflow = _blocking(Flow.pause_workflow)
    resume_workflow = _blocking(Flow.resume_workflow)


class BlockingAlerts(_Twin[Alerts]):
    """``client.alerts``."""

    apply = _blocking(Alerts.apply)
    list = _blocking(Alerts.list)
    show = _blocking(Alerts.show)
    history = _blocking(Alerts.history)
    test = _blocking(Alerts.test)
    delete = _blocking(Alerts.delete)


class BlockingDeadLetters(_Twin[DeadLetters]):
    """``client.dead_letters``."""

    list = _blocking(DeadLetters.list)
    show = _blocking(DeadLetters.show)
    retry = _blocking(DeadLetters.retry)
    drop = _blocking(DeadLetters.drop)
    look_around = _blocking(DeadLetters.look_around)


class BlockingTenants(_Twin[Tenants]):
    """``client.tenants``."""

    list = _blocking(Tenants.list)
    show = _blocking(Tenants.show)
    create = _blocking(Tenants.create)
    update = _blocking(Tenants.update)
    delete = _blocking(Tenants.delete)
    access = _blocking(Tenants.access)
    nodes = _blocking(Tenants.nodes)
    metrics = _blocking(Tenants.metrics)


class BlockingClient(_Twin[Client]):
    """A connection to a cluster; made by :func:`connect`."""

    info = _blocking(Client.info)
    result = _blocking(Client.result)
    get = _blocking(Client.get)
    list = _blocking(Client.list)
    groups = _blocking(Client.groups)
    history = _iterating(Client.history)
    history_page = _blocking(Client.history_page)
    archived_history = _iterating(Client.archived_history)
    events = _iterating(Client.events)
    follow = _iterating(Client.follow)
    cancel = _blocking(Client.cancel)
    suspend = _blocking(Client.suspend)
    resume = _blocking(Client.resume)
    retry = _blocking(Client.retry)
    rewind = _blocking(Client.rewind)
    fork = _blocking(Client.fork)
    migrate = _blocking(Client.migrate)
    delete = _blocking(Client.delete)
    each = _blocking(Client.each)
    sql = _blocking(Client.sql)
    apply = _blocking(Client.apply)
    workflow = _blocking(Client.workflow)
    workflows = _blocking(Client.workflows)
    delete_workflow = _blocking(Client.delete_workflow)
    put_secret = _blocking(Client.put_secret)
    secrets = _blocking(Client.secrets)
    delete_secret = _blocking(Client.delete_secret)
    emit = _blocking(Client.emit)
    slim = _blocking(Client.slim)
    full_event = _blocking(Client.full_event)
    start = _giving(Client.start, BlockingRun)
    start_many = _giving(Client.start_many, _runs)
    archive = _Part(BlockingArchive)
    control = _Part(BlockingControl)
    schedules = _Part(BlockingSchedules)
    tokens = _Part(BlockingTokens)
    audit = _Part(BlockingAudit)
    approvals = _Part(BlockingApprovals)
    flow = _Part(BlockingFlow)
    alerts = _Part(BlockingAlerts)
    dead_letters = _Part(BlockingDeadLetters)
    tenants = _Part(BlockingTenants)

    def run(self, execution: str) -> BlockingRun:
        """Return a handle to an execution that was started before."""
        return BlockingRun(self._wrapped.run(execution), self._loop)

    @property
    def tenant(self) -> str:
        """Whom it acts for."""
        return self._wrapped.tenant
