"""Requests and notices in memory: who serves and who listens on which subject."""

from __future__ import annotations

import asyncio
import logging
from contextvars import copy_context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.log.ports import Handler

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

    def ask(self, data: bytes, answer: asyncio.Future[bytes]) -> None:
        """Start working on a request."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._work(data, answer), context=self._context.copy())
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


class Services:
    """All services and listeners of a broker; exact subjects are found without a search."""

    def __init__(self) -> None:
        self._services: dict[str, list[Service]] = {}
        self._listeners: dict[str, list[Listener]] = {}

    def add_service(self, service: Service) -> None:
        """Let a service answer."""
        self._services.setdefault(service.subject, []).append(service)

    def remove_service(self, service: Service) -> None:
        """Stop asking a service."""
        self._services[service.subject].remove(service)

    def add_listener(self, listener: Listener) -> None:
        """Let a listener hear notices."""
        self._listeners.setdefault(listener.subject, []).append(listener)

    def remove_listener(self, listener: Listener) -> None:
        """Stop telling a listener."""
        self._listeners[listener.subject].remove(listener)

    def services_of(self, subject: str) -> list[Service]:
        """Return who serves a subject."""
        found = list(self._services.get(subject, ()))
        for pattern, services in self._services.items():
            if ("*" in pattern or ">" in pattern) and matches(pattern, subject):
                found.extend(services)
        return [service for service in found if not service.is_lost()]

    def tell(self, subject: str, data: bytes) -> None:
        """Hand a notice to all listeners."""
        for pattern, listeners in list(self._listeners.items()):
            if pattern == subject or matches(pattern, subject):
                for listener in list(listeners):
                    listener.hear(data)
