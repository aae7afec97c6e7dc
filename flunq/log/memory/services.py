"""Requests and notices in memory: who serves and who listens on which subject."""

from __future__ import annotations

import asyncio
import logging
from contextvars import copy_context
from typing import TYPE_CHECKING, Generic, TypeVar

from flunq.log.ports import Asker, asker

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.log.ports import Handler

Member = TypeVar("Member")
_log = logging.getLogger(__name__)


def matches(pattern: str, subject: str) -> bool:
    """Tell whether a subject falls under a pattern with ``*`` and ``>``."""
    wanted, given = pattern.split("."), subject.split(".")
    for index, part in enumerate(wanted):
        if part == ">":
            return len(given) > index
        if index >= len(given) or part not in ("*", given[index]):
            return False
    return len(wanted) == len(given)


class Service:
    """One ``serve`` context: its handler and the requests it is working on."""

    def __init__(self, subject: str, handler: Handler, is_lost: Callable[[], bool]) -> None:
        self.subject = subject
        self.is_lost = is_lost
        """Whether its connection was cut: then it hears and answers nothing any more."""
        self._handler = handler
        # The work is the server's, not the caller's.
        self._context = copy_context()
        self._running: dict[asyncio.Task[None], None] = {}

    def ask(self, data: bytes, answer: asyncio.Future[bytes], who: Asker) -> None:
        """Start working on a request."""
        loop = asyncio.get_running_loop()
        context = self._context.copy()
        context.run(asker.set, who)
        task = loop.create_task(self._work(data, answer), context=context)
        self._running[task] = None
        task.add_done_callback(self._forget)

    async def aclose(self) -> None:
        """Give up what is unfinished."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)

    async def _work(self, data: bytes, answer: asyncio.Future[bytes]) -> None:
        try:
            result = await self._handler(data)
        except Exception:  # noqa: BLE001 - one bad request must not end the service
            _log.exception("a request on %s failed", self.subject)
            return
        if result is not None and not answer.done() and not self.is_lost():
            answer.set_result(result)


class Listener:
    """One ``listen`` context."""

    def __init__(
        self, subject: str, receive: Callable[[bytes], None], is_lost: Callable[[], bool]
    ) -> None:
        self.subject = subject
        self.is_lost = is_lost
        self._receive = receive
        self._context = copy_context()

    def hear(self, data: bytes) -> None:
        """Take a notice; one listener's failure is not its sender's."""
        if self.is_lost():
            return
        try:
            self._context.copy().run(self._receive, data)
        except Exception:  # noqa: BLE001 - one bad listener must not keep it from the others
            _log.exception("a listener on %s failed", self.subject)


class _Registry(Generic[Member]):
    """Members by subject or pattern; exact subjects are found without a search."""

    def __init__(self) -> None:
        self._exact: dict[str, list[Member]] = {}
        self._patterns: dict[str, list[Member]] = {}

    def add(self, subject: str, member: Member) -> None:
        """Enter a member."""
        self._home(subject).setdefault(subject, []).append(member)

    def remove(self, subject: str, member: Member) -> None:
        """Strike a member off."""
        home = self._home(subject)
        home[subject].remove(member)
        if not home[subject]:
            del home[subject]

    def of(self, subject: str) -> list[Member]:
        """Return the members that a subject concerns."""
        found = list(self._exact.get(subject, ()))
        for pattern, members in self._patterns.items():
            if matches(pattern, subject):
                found.extend(members)
        return found

    def _home(self, subject: str) -> dict[str, list[Member]]:
        return self._patterns if "*" in subject or ">" in subject else self._exact


class Services:
    """All services and listeners of a broker."""

    def __init__(self) -> None:
        self._services: _Registry[Service] = _Registry()
        self._listeners: _Registry[Listener] = _Registry()

    def add_service(self, service: Service) -> None:
        """Let a service answer."""
        self._services.add(service.subject, service)

    def remove_service(self, service: Service) -> None:
        """Stop asking a service."""
        self._services.remove(service.subject, service)

    def add_listener(self, listener: Listener) -> None:
        """Let a listener hear notices."""
        self._listeners.add(listener.subject, listener)

    def remove_listener(self, listener: Listener) -> None:
        """Stop telling a listener."""
        self._listeners.remove(listener.subject, listener)

    def services_of(self, subject: str) -> list[Service]:
        """Return who serves a subject."""
        return [service for service in self._services.of(subject) if not service.is_lost()]

    def tell(self, subject: str, data: bytes) -> None:
        """Hand a notice to all listeners."""
        for listener in self._listeners.of(subject):
            listener.hear(data)
