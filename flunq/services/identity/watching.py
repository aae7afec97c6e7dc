"""Watches what clients ask of a process through the broker, and notes every write for the audit.

Known reads are left out by name; whatever else is asked is noted, also what later versions add.
What the API asks on behalf of somebody is noted there, with a name that was verified.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Self

import msgspec

from flunq.core.access import AuditEntry, tenant_of
from flunq.log.ports import BY_HEADER, Asker, asker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from flunq.log.ports import EventStream, Handler, Inbox, Record, Requests
    from flunq.services.identity.audit import Audit

READS = frozenset(
    {
        "get", "watch", "list", "history", "commits",
        "capacity", "info", "resolve", "workflows", "get-blob", "secrets",
        "schedules", "show",
        "lake-history", "lake-status",
        "list-letters", "show-letter", "look-around",
        "list-alerts", "show-alert", "alert-history", "test-alert",
        "list-breakers", "list-limits", "list-held", "list-pauses", "list-groups",
        "heed",
        "tenants", "tenant", "nodes",
        "try-fork",
        "list-tokens", "read-audit",
        "query", "next", "close",
    }
)  # fmt: skip
"""Questions that change nothing."""
_WATCHED = ("flunq.start.", "flunq.ask.", "flunq.admin.")


class _Command(msgspec.Struct):
    type: str = ""
    id: str = ""
    name: str = ""
    key: str = ""
    dry_run: bool = False
    last: bool = True
    events: Any = None
    """A list of events, or how many somebody wants to see."""
    without: list[str] = []
    """Executions of which stored states are rewritten."""
    commands: list[_Command] = []


class _Reply(msgspec.Struct):
    code: int = 0
    problem: dict[str, Any] | None = None


class _Answer(msgspec.Struct):
    value: msgspec.Raw = msgspec.Raw(b"null")
    problem: dict[str, Any] | None = None


class _Named(msgspec.Struct):
    namespace: str = ""
    name: str = ""
    version: str = ""
    id: str = ""


_request = msgspec.json.Decoder(_Command).decode
_commands = msgspec.json.Decoder(list[_Command]).decode
_replies = msgspec.json.Decoder(list[_Reply]).decode
_answer = msgspec.json.Decoder(_Answer).decode


class Watch:
    """Turns requests and their answers into entries of the audit."""

    def __init__(
        self, audit: Audit, *, tenant: str | None, proof: str, clock: Callable[[], float]
    ) -> None:
        """Without a tenant it is that of the subject that was asked."""
        self._audit = audit
        self._tenant = tenant
        self._proof = proof
        self._clock = clock

    def over(self, handler: Handler) -> Handler:
        """Return a handler that notes what another one is asked."""

        async def watched(payload: bytes) -> bytes | None:
            who, begun = asker.get(), self._clock()
            answer = await handler(payload)
            if not self._is_ours(who):
                self._note(who, begun, payload, answer)
            return answer

        return watched

    def input(self, record: Record) -> None:
        """Note what a client stored for an owner that could not be asked."""
        said = record.headers.get(BY_HEADER, "")
        user, _, claim = said.partition(" ")
        try:
            commands = _commands(record.data)
        except (msgspec.MsgspecError, RecursionError):
            commands = [_Command(type="unreadable")]
        for command in commands:
            self._add(Asker(user, claim), record.time, command, _target(command, b""), "stored")

    def _is_ours(self, who: Asker) -> bool:
        """The API says what it does for whom by itself; only it knows the proof."""
        return bool(self._proof) and hmac.compare_digest(who.proof.encode(), self._proof.encode())

    def _note(self, who: Asker, begun: float, payload: bytes, answer: bytes | None) -> None:
        try:
            request = _request(payload)
        except (msgspec.MsgspecError, RecursionError):
            request = _Command(type="unreadable")
        if request.commands:
            results = _results(answer, len(request.commands))
            for command, result in zip(request.commands, results, strict=True):
                self._add(who, begun, command, _target(command, b""), result)
        elif _writes(request):
            value, result = _outcome(answer)
            target = _target(request, value) or _place(who, request)
            self._add(who, begun, request, target, result)

    def _add(self, who: Asker, begun: float, command: _Command, target: str, result: str) -> None:
        self._audit.note(
            AuditEntry(
                time=begun,
                who=who.user or "unknown",
                tenant=self._tenant or tenant_of(who.subject),
                what=command.type,
                target=target,
                result=result,
                source=who.claim,
                via="nats",
            )
        )


def _writes(request: _Command) -> bool:
    if request.type in READS or request.dry_run:
        return False
    return request.type != "put-blob" or request.last


def _target(request: _Command, value: bytes) -> str:
    if request.events and isinstance(request.events, list):
        given = [event for event in request.events if isinstance(event, dict)]
        types = sorted({str(event.get("type", "")) for event in given})
        return f"{len(request.events)} x {', '.join(types)}"
    if known := request.id or request.name or request.key or ", ".join(request.without):
        return known
    try:
        made = msgspec.json.decode(value, type=_Named)
    except msgspec.MsgspecError:
        return ""
    full = "/".join(part for part in (made.namespace, made.name) if part)
    return f"{full}:{made.version}" if made.version else full or made.id


def _place(who: Asker, request: _Command) -> str:
    """Return which partition was meant, of what is about all of it."""
    number = who.subject.rpartition(".")[2]
    return f"partition {number}" if request.type == "mark" and number.isdigit() else ""


def _results(answer: bytes | None, count: int) -> list[str]:
    if answer is None:
        return ["no answer"] * count
    found = [_result(reply.problem) for reply in _replies(answer)]
    return found if len(found) == count else ["unclear"] * count


def _outcome(answer: bytes | None) -> tuple[bytes, str]:
    if answer is None:
        return b"", "no answer"
    try:
        read = _answer(answer)
    except msgspec.MsgspecError:
        return b"", "unclear"
    return bytes(read.value), _result(read.problem)


def _result(problem: dict[str, Any] | None) -> str:
    if problem is None:
        return "ok"
    return str(problem.get("type", "")).rpartition(":")[2] or str(problem.get("status", "refused"))


class WatchedRequests:
    """Requests of which those that clients may make are watched."""

    def __init__(self, requests: Requests, watch: Watch) -> None:
        self._watch = watch
        self._requests = requests
        self.request = requests.request
        self.notify = requests.notify
        self.listen = requests.listen
        self.mailbox = requests.mailbox

    def serve(self, subject: str, handler: Handler) -> AbstractAsyncContextManager[None]:
        """Answer requests to a subject while the context is open."""
        if subject.startswith(_WATCHED):
            handler = self._watch.over(handler)
        return self._requests.serve(subject, handler)


class WatchedInbox:
    """An inbox of which the inputs of clients are watched."""

    def __init__(self, inbox: Inbox, watch: Watch) -> None:
        self._watch = watch
        self._inbox = inbox
        self.publish = inbox.publish
        self.created = inbox.created
        self.newest = inbox.newest
        self.purge = inbox.purge

    async def read(self, partition: int, *, after: int) -> AsyncIterator[list[Record]]:
        """Yield batches of the partition's inputs, for ever."""
        async for batch in self._inbox.read(partition, after=after):
            for record in batch:
                if record.external:
                    self._watch.input(record)
            yield batch


class WatchedStream:
    """A connected event stream whose requests and inputs are watched."""

    def __init__(self, stream: EventStream, watch: Watch) -> None:
        self._stream = stream
        self.journal = stream.journal
        self.inbox = WatchedInbox(stream.inbox, watch)
        self.tasks = stream.tasks
        self.bus = stream.bus
        self.schedules = stream.schedules
        self.requests = WatchedRequests(stream.requests, watch)
        self.dead_letters = stream.dead_letters
        self.audit = stream.audit
        self.ensure = stream.ensure
        self.destroy = stream.destroy
        self.scour = stream.scour
        self.capacity = stream.capacity
        self.wait_lost = stream.wait_lost

    @property
    def max_payload(self) -> int:
        """Return how many bytes one message may have."""
        return self._stream.max_payload

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Whoever opened the stream closes it."""
