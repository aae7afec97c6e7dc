"""The Python client: start executions, wait for results, look and steer."""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from contextlib import AsyncExitStack, nullcontext
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET

from flunq.client.access import AuditLog, Tokens
from flunq.client.archive import Archive
from flunq.client.arguments import (
    checked,
    checked_priority,
    checked_trace,
)
from flunq.client.bulk import IN_FLIGHT, Bulk, Outcome, Target
from flunq.client.control import Control
from flunq.client.dead_letters import DeadLetters
from flunq.client.feed import Feed
from flunq.client.flow import Flow
from flunq.client.ids import new_id
from flunq.client.mailbox import Mailbox
from flunq.client.refusals import error_of, value_of
from flunq.client.run import Run
from flunq.client.schedules import Schedules
from flunq.client.sender import CommandSender
from flunq.client.tenants import Tenants
from flunq.client.values import Values, encode_value
from flunq.core.capacity import Capacity
from flunq.core.document.bundle import Bundle, blob_key
from flunq.core.events import TERMINAL_TYPES, LazyEvent
from flunq.core.execution.commands import (
    Cancel,
    Command,
    Delete,
    Migrate,
    Resume,
    Start,
    Suspend,
    WorkflowRef,
)
from flunq.core.ids import is_valid_id, partition_of
from flunq.core.protocol import (
    Answer,
    Apply,
    AskCapacity,
    ClusterInfo,
    Commits,
    Definition,
    DefinitionText,
    DeleteSecret,
    DeleteWorkflow,
    Details,
    Emit,
    Erase,
    Erased,
    Get,
    GroupView,
    History,
    Info,
    ListGroups,
    ListPage,
    ListSecrets,
    Mark,
    Page,
    PutSecret,
    Reply,
    Resolve,
    Result,
    Summary,
    Workflows,
    ask_subject,
    catalog_subject,
    feed_subject,
)
from flunq.core.statuses import ENDED, checked_statuses
from flunq.core.tenancy import ADMIN_SUBJECT, ListTenants, TenantRecord
from flunq.errors import (
    NotFoundError,
    RejectedError,
    UnavailableError,
    UsageError,
)
from flunq.log.ports import EventStream, NoResponderError, NotPermittedError, RequestTimeoutError
from flunq.store.query_job import Limits, QueryPage, QueryRequest, Question

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager

    from flunq.client.alerts import Alerts
    from flunq.client.answers import SqlResult
    from flunq.client.approvals import Approvals
    from flunq.client.resources import Fetching
    from flunq.log.ports import Handler

T = TypeVar("T")
Summaries: TypeAlias = list[Summary]
Groups: TypeAlias = list[GroupView]
Definitions: TypeAlias = list[Definition]
Names: TypeAlias = list[str]
Sequences: TypeAlias = list[int]
Secrets: TypeAlias = list[dict[str, str]]
Runs: TypeAlias = list[Run]
Outcomes: TypeAlias = list[Outcome]
BulkCommand: TypeAlias = Literal["cancel", "suspend", "resume", "delete"]

ANSWER_SECONDS = 2.0
"""How long an answer may take before the question is asked again, first of all."""
SQL_SECONDS = 60.0
PAUSE = 0.02
"""Seconds before a question that nobody took is asked again, first of all."""
LONGEST_PAUSE = 0.3
LOOK_SECONDS = 0.5
"""After that long without an owner it is asked whether there is such a tenant at all."""
LOOK_AGAIN_SECONDS = 2.0
"""After that long it is asked again, if nobody could tell."""
PATIENCE = 10.0
"""Seconds in which an owner must be found; a fail-over takes less."""


class Client:
    """A connection to a cluster as one tenant. Use it with ``async with``."""

    def __init__(self, stream: EventStream, *, tenant: str = "default") -> None:
        self.tenant = tenant
        self._stream = stream
        self._info: ClusterInfo | None = None
        self._name = token_hex(6)
        self._requests = 0
        self._values = Values(self._ask_catalog_raw)
        self._mailbox: Mailbox
        self._sender: CommandSender

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as unless_open:
            await unless_open.enter_async_context(self._stream)
            self._mailbox = Mailbox(
                self._stream.requests,
                self.tenant,
                self._values,
                repeat=lambda partition: self._sender.repeat(partition),
            )
            self._sender = CommandSender(self._stream, self.tenant, self._mailbox.subject)
            await self._mailbox.__aenter__()
            unless_open.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._sender.aclose()
        await self._mailbox.aclose()
        await self._stream.__aexit__(None, None, None)

    async def info(self) -> ClusterInfo:
        """Return what the cluster says of itself."""
        if self._info is None:
            self._info = await self._ask_catalog(Info(), ClusterInfo)
            self._mailbox.partitions = self._info.partitions
        return self._info

    # -- executions ------------------------------------------------------------------------------

    async def start(
        self,
        workflow: str | WorkflowRef,
        input: Any = None,
        *,
        id: str | None = None,
        tags: dict[str, str] | None = None,
        timeout: float = PATIENCE,  # noqa: ASYNC109 - it is the API's word
        watch: bool = True,
        traceparent: str | None = None,
        priority: int | str | None = None,
    ) -> Run:
        """Start an execution; returns once the start is durable.

        With the same ``id``, workflow and input it is the same execution. An id that is taken
        by another start raises IdConflictError. Without ``watch`` nothing is kept of its result
        until somebody asks for that. ``traceparent`` is the W3C trace context that it goes on.
        ``priority`` is that of its tasks: ``high``, ``normal``, ``low`` or 0 to 9. A workflow
        that collects its starts answers with the execution that this one is part of.
        """
        execution = id if id is not None else new_id()
        if not is_valid_id(execution):
            raise UsageError(
                f"'{execution}' cannot be an execution id",
                hint="use 1 to 128 letters, digits, '_', '.' or '-'",
            )
        await self.info()
        value = await self._values.slim(input)
        start = Start(
            id=execution,
            workflow=_ref(workflow),
            input=value,
            tags=checked(tags or {}, dict[str, str], "tags are texts by name"),
            request=self._new_request(),
            traceparent=checked_trace(traceparent),
            priority=None if priority is None else checked_priority(priority),
        )
        with self._mailbox.expecting(execution) if watch else nullcontext():
            reply = await self._send(start, timeout)
        if reply.id and reply.id != execution:
            # It is part of an execution that collects starts: that one's result is asked for.
            self._mailbox.forget(execution)
            execution = reply.id
        return Run(self, execution, reply.status or "pending", created=reply.code == 201)

    def run(self, execution: str) -> Run:
        """Return a handle to an execution that was started before."""
        return Run(self, execution, "")

    async def result(
        self,
        execution: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it is the API's word
        patience: float | None = None,
    ) -> Result:
        """Wait until an execution has ended; raises WaitTimeoutError.

        A cluster that is away is waited for, too; after ``patience`` seconds without any answer
        it raises UnavailableError.
        """
        await self.info()
        return await self._mailbox.result(execution, timeout, patience)

    async def get(self, execution: str) -> Details:
        """Return everything about an execution but its history."""
        details = await self._ask(execution, Get(id=execution), Details)
        return msgspec.structs.replace(
            details,
            input=await self._values.full(details.input),
            output=await self._values.full(details.output),
            context=await self._values.full(details.context),
        )

    async def list(
        self,
        *,
        limit: int = 20,
        before: tuple[int, str] | None = None,
        status: Sequence[str] | str | None = None,
        workflow: str | None = None,
        prefix: str = "",
    ) -> Summaries:
        """Return a page of executions of all partitions, newest first, of one status or several."""
        question = ListPage(
            limit=limit,
            before=before,
            status=checked_statuses(status),
            workflow=workflow,
            prefix=prefix,
        )
        info = await self.info()
        pages = await asyncio.gather(
            *(self._ask_partition(number, question, Summaries) for number in range(info.partitions))
        )
        return heapq.nlargest(
            limit, (item for page in pages for item in page), key=lambda s: (s.started_at, s.id)
        )

    async def groups(self) -> Groups:
        """Return the groups of starts that are collected now, those that begin first before."""
        info = await self.info()
        found = await asyncio.gather(
            *(self._ask_partition(each, ListGroups(), Groups) for each in range(info.partitions))
        )
        groups = [group for some in found for group in some]
        return sorted(groups, key=lambda group: (group.due or group.since, group.execution))

    async def history(self, execution: str, *, cursor: int = 0) -> AsyncIterator[LazyEvent]:
        """Yield the events of an execution so far, in order."""
        seen = 0
        while True:
            events, cursor, more = await self.history_page(execution, cursor, seen=seen)
            for event in events:
                seen = event.seq
                yield event
            if not more:
                return

    async def history_page(
        self, execution: str, cursor: int = 0, *, seen: int = 0
    ) -> tuple[Sequence[LazyEvent], int, bool]:
        """Return some events after a cursor, the next cursor and whether there are more now.

        What the journal no longer has comes from the archive; ``seen`` is the number of the last
        event of the page before.
        """
        page = await self._ask(execution, History(id=execution, cursor=cursor), Page)
        decoded = [msgspec.json.decode(raw, type=LazyEvent) for raw in page.items]
        if (seen or not cursor) and _lacks(decoded, seen, moved=page.cursor > cursor):
            before = decoded[0].seq if decoded else 1 << 62
            archived = self.archive.events(execution, after=seen, before=before)
            decoded = [event async for event in archived] + decoded
        return [await self._values.full_event(event) for event in decoded], page.cursor, page.more

    async def archived_history(self, execution: str) -> AsyncIterator[LazyEvent]:
        """Yield what the archive holds of an execution, also of one that no owner knows."""
        async for event in self.archive.events(execution):
            yield await self._values.full_event(event)

    async def events(self, *, archived: bool = True) -> AsyncIterator[LazyEvent]:
        """Yield the events of all executions from now on, for ever.

        It listens when the first event is asked for, not when it is called: what happened between
        is not heard. ``follow`` misses nothing of an execution that its caller has started.

        Whoever was away for long reads what the journal has forgotten meanwhile in the archive;
        without ``archived`` an event of type ``io.flunq.feed.gap`` stands for it.
        """
        async with await self._feed(None, archived=archived) as feed:
            async for event in feed:
                if event.subject:
                    yield await self._values.full_event(event)

    async def follow(self, execution: str) -> AsyncIterator[LazyEvent]:
        """Yield the events of an execution, those so far and those to come, until it has ended."""
        partition = partition_of(execution, (await self.info()).partitions)
        seq, cursor, more, ended = 0, 0, True, False
        async with await self._feed(partition) as feed:
            while more:
                events, cursor, more = await self.history_page(execution, cursor, seen=seq)
                for event in events:
                    seq, ended = event.seq, event.type in TERMINAL_TYPES
                    yield event
            if ended:
                return  # an end before that one was taken back
            if cursor and not seq and (await self.get(execution)).ended_at:
                return  # its events are lost, the end among them
            feed.anchor(partition, cursor)
            async for event in feed:
                if event.subject == execution and event.seq > seq:
                    seq = event.seq
                    yield await self._values.full_event(event)
                    if event.type in TERMINAL_TYPES:
                        return

    async def _feed(self, partition: int | None, *, archived: bool = True) -> Feed:
        info = await self.info()

        async def ask(number: int, question: Commits) -> Page:
            return await self._ask_partition(number, question, Page)

        wanted = range(info.partitions) if partition is None else [partition]
        subject = feed_subject(self.tenant, "*" if partition is None else partition)
        return Feed(self._stream.requests, subject, wanted, ask, archived=archived)

    async def cancel(self, execution: str, reason: str = "") -> str:
        """End an execution as cancelled; returns its status."""
        return await self._control(Cancel(id=execution, reason=reason))

    async def suspend(self, execution: str, reason: str = "") -> str:
        """Let an execution dispatch nothing new; returns its status."""
        request = self._new_request()
        return await self._control(Suspend(id=execution, reason=reason, request=request))

    async def resume(self, execution: str, *, request: str = "") -> str:
        """Let a suspended execution go on; returns its status.

        Its history has the ``request`` if it went on because of this one.
        """
        return await self._control(Resume(id=execution, request=request or self._new_request()))

    async def retry(self, execution: str, *, input: Any = UNSET, reason: str = "") -> Details:
        """Let an execution that faulted or was cancelled go on from where it failed.

        Steps that were done stay done; ``input`` is another raw input for the task that failed.
        """
        return await self.control.retry(execution, input=input, reason=reason)

    async def rewind(self, execution: str, *, at: int, reason: str = "") -> Details:
        """Take an execution that has ended, or is suspended, back to right after an event."""
        return await self.control.rewind(execution, at=at, reason=reason)

    async def fork(
        self,
        execution: str,
        *,
        at: int | None = None,
        input: Any = UNSET,
        version: str | None = None,
        new_id: str | None = None,
        reason: str = "",
    ) -> Details:
        """Start another execution from a point of this one's past, or from its start."""
        return await self.control.fork(
            execution, at=at, input=input, version=version, new_id=new_id, reason=reason
        )

    async def migrate(self, execution: str, version: str, *, dry_run: bool = False) -> str:
        """Let an open execution go on with another version; returns its status.

        Raises RejectedError if that version does not have what is open.
        """
        name = (await self.get(execution)) if ":" not in version else None
        ref = _ref(version if name is None else f"{name.namespace}/{name.workflow}:{version}")
        request = self._new_request()
        return await self._control(
            Migrate(id=execution, workflow=ref, dry_run=dry_run, request=request)
        )

    async def delete(self, execution: str) -> str:
        """Forget an execution that has ended."""
        return await self._control(Delete(id=execution))

    async def start_many(
        self,
        workflow: str | WorkflowRef,
        inputs: Iterable[Any],
        *,
        ids: Sequence[str] | None = None,
        tags: dict[str, str] | None = None,
        priority: int | str | None = None,
    ) -> Runs:
        """Start one execution for each input, many at the same time; all starts are durable."""
        given = list(inputs)
        if ids is not None and len(ids) != len(given):
            raise UsageError(f"there are {len(given)} inputs and {len(ids)} ids")
        names = ids if ids is not None else [new_id() for _ in given]
        gate = asyncio.Semaphore(IN_FLIGHT * 4)

        async def one(name: str, input: Any) -> Run:
            async with gate:
                return await self.start(workflow, input, id=name, tags=tags, priority=priority)

        return await asyncio.gather(*map(one, names, given))

    async def each(
        self,
        command: BulkCommand,
        ids: Iterable[str],
        *,
        reason: str = "",
        rate: float | None = None,
    ) -> Outcomes:
        """Give one command to many executions, ``rate`` a second; each has its own outcome."""
        acts: dict[BulkCommand, Callable[[str], Awaitable[str]]] = {
            "cancel": partial(self.cancel, reason=reason),
            "suspend": partial(self.suspend, reason=reason),
            "resume": self.resume,
            "delete": self.delete,
        }
        if command not in acts:
            raise UsageError(f"{command!r} is none of {', '.join(acts)}")
        wanted = frozenset({"cancelled"}) if command == "cancel" else ENDED
        bulk = Bulk(acts[command], wanted=wanted, rate=rate)
        targets = {each: Target(id=each) for each in ids}
        await bulk.run(list(targets.values()))
        found = {outcome.id: outcome for outcome in bulk.outcomes}
        return [found[each] for each in targets]

    # -- definitions and events --------------------------------------------------------------------

    @property
    def archive(self) -> Archive:
        """The archive of everything that ever happened."""
        return Archive(self._ask_raw, self.tenant)

    @property
    def control(self) -> Control:
        """Going back to the past of executions: retry, rewind, fork."""
        return Control(self, self._stream.requests, self._values, self._mailbox)

    @property
    def schedules(self) -> Schedules:
        """The schedules of workflows: look at them, pause, trigger, make up for."""
        return Schedules(self._ask_raw, self.tenant)

    @property
    def tokens(self) -> Tokens:
        """Tokens of the API: issue, look at and revoke them."""
        return Tokens(self._ask_raw, self.tenant)

    @property
    def audit(self) -> AuditLog:
        """What was done, by whom."""
        return AuditLog(self._ask_raw, self.tenant)

    @property
    def approvals(self) -> Approvals:
        """What waits for a person."""
        from flunq.client.approvals import Approvals  # reads and compiles documents

        return Approvals(self)

    @property
    def dead_letters(self) -> DeadLetters:
        """What could not be worked on: look at it, put it back, forget it."""
        return DeadLetters(self._ask_raw, self.tenant)

    @property
    def flow(self) -> Flow:
        """Breakers and limits: look at them, open, close and set them."""
        return Flow(self._ask_raw, self.tenant)

    @property
    def alerts(self) -> Alerts:
        """Alert rules: keep them, look at them, see who was told."""
        from flunq.client.alerts import Alerts  # few need it

        return Alerts(self._ask_raw, self.tenant)

    @property
    def tenants(self) -> Tenants:
        """The tenants and nodes of the cluster, for its administrators."""
        return Tenants(self._stream.requests)

    async def apply(
        self,
        text: str,
        *,
        dry_run: bool = False,
        schedule: bool = True,
        bundle: Bundle | None = None,
        fetching: Fetching | None = None,
    ) -> dict[str, Any]:
        """Register a definition (YAML or JSON): name, version, digest, whether it is new.

        Its schedule comes into force, unless ``schedule`` is false and none was in force before.
        What it refers to (schemas, functions, files) is fetched and registered along with it, as
        ``fetching`` says: by default from public addresses of the web, and no files.
        """
        if bundle is None:
            bundle = await _bundled(text, fetching)
        for digest, content in bundle.contents.items():
            await self._values.put(blob_key(digest), content)
        question = Apply(text=text, dry_run=dry_run, schedule=schedule, resources=bundle.table)
        return await self._ask_catalog(question, dict[str, Any])

    async def workflow(self, name: str) -> DefinitionText:
        """Return a definition as it was written."""
        return await self._ask_catalog(Resolve(name=name), DefinitionText)

    async def workflows(self, prefix: str = "") -> Definitions:
        """Return all registered versions."""
        return await self._ask_catalog(Workflows(prefix=prefix), Definitions)

    async def delete_workflow(self, name: str) -> Names:
        """Unregister a version or a whole name; returns what is gone."""
        return await self._ask_catalog(DeleteWorkflow(name=name), Names)

    async def put_secret(self, name: str, value: Any) -> None:
        """Keep a secret in the cluster, sealed; nobody can ask for its value."""
        await self._ask_catalog(PutSecret(name=name, value=value), str)

    async def secrets(self) -> Secrets:
        """Return the names of the secrets, and when each was changed."""
        return await self._ask_catalog(ListSecrets(), Secrets)

    async def delete_secret(self, name: str) -> None:
        """Forget a secret."""
        await self._ask_catalog(DeleteSecret(name=name), str)

    async def emit(self, events: Iterable[dict[str, Any]]) -> Sequences:
        """Publish CloudEvents."""
        published = tuple(checked(event, dict[str, Any], "a wrong event") for event in events)
        encode_value(published)
        return await self._ask_catalog(Emit(events=published), Sequences)

    async def sql(
        self,
        query: str,
        parameters: dict[str, Any] | None = None,
        *,
        max_rows: int = 0,
        timeout: float = SQL_SECONDS,  # noqa: ASYNC109 - it is the API's word
    ) -> SqlResult:
        """Ask the past; ``$name`` in the query stands for a parameter.

        Raises RejectedError when the query is refused.
        """
        from flunq.client.answers import collect
        from flunq.client.sql import ask_cluster  # most clients ask nothing

        question = Question(sql=query, parameters=parameters or {}, max_rows=max_rows)
        return await collect(ask_cluster(self, question, Limits(seconds=timeout)))

    async def slim(self, value: Any) -> Any:
        """Return a value, or if it is large a reference to it once the cluster has it."""
        return await self._values.slim(value)

    def _new_request(self) -> str:
        """Return what tells all copies of one command from those of another."""
        self._requests += 1
        return f"{self._name}.{self._requests:x}"

    # -- asking ----------------------------------------------------------------------------------

    async def mark(self, number: int, mark: Mark) -> int:
        """Let the owner of a partition write a commit and a checkpoint; returns its sequence."""
        return await self._ask_partition(number, mark, int)

    async def erase(self, question: Erase) -> Erased:
        """Let the cluster erase what was removed; ask again until it is done."""
        return await self._ask_catalog(question, Erased)

    async def ask_capacity(self) -> Capacity:
        """Return how full the tenant's streams are, and how far their consumers have come."""
        return await self._ask_catalog(AskCapacity(), Capacity)

    async def ask_owner(self, number: int, question: Commits) -> Page:
        """Return raw commits of a partition from its owner."""
        return await self._ask_partition(number, question, Page)

    async def ask_sql(self, request: QueryRequest, seconds: float) -> QueryPage:
        """Return a page of the answer to a query that the cluster runs."""
        from flunq.client.sql import send_query  # most clients ask nothing

        try:
            body = await send_query(self._stream.requests, self.tenant, request, seconds + PATIENCE)
        except NotPermittedError:
            raise _not_yours(self.tenant) from None
        except (NoResponderError, RequestTimeoutError):
            raise UnavailableError(
                "this cluster answers no queries",
                hint="its control process does: flunq up, or flunq serve control --data DIR",
            ) from None
        return msgspec.json.decode(value_of(body), type=QueryPage)

    def serving(self, subject: str, handler: Handler) -> AbstractAsyncContextManager[None]:
        """Answer requests to a subject while the context is open."""
        return self._stream.requests.serve(subject, handler)

    def listening(
        self, subject: str, receive: Callable[[bytes], None]
    ) -> AbstractAsyncContextManager[None]:
        """Call ``receive`` for each notice on a subject while the context is open."""
        return self._stream.requests.listen(subject, receive)

    async def full_event(self, event: LazyEvent) -> LazyEvent:
        """Return an event with its large values."""
        return await self._values.full_event(event)

    async def _control(self, command: Command) -> str:
        checked(msgspec.to_builtins(command), type(command), "a wrong argument")
        await self.info()
        reply = await self._send(command, PATIENCE)
        return reply.status

    async def _send(self, command: Command, timeout: float) -> Reply:  # noqa: ASYNC109 - it is the API's word
        info = await self.info()
        number = partition_of(command.id, info.partitions)
        reply = await self._sender.send(number, command, timeout)
        if reply.problem is not None:
            raise error_of(reply.problem)
        return reply

    async def _ask(self, execution: str, question: Any, kind: type[T]) -> T:
        info = await self.info()
        return await self._ask_partition(partition_of(execution, info.partitions), question, kind)

    async def _ask_partition(self, number: int, question: Any, kind: type[T]) -> T:
        subject = ask_subject(self.tenant, number)
        return msgspec.json.decode(await self._ask_raw(subject, question), type=kind)

    async def _ask_catalog(self, question: Any, kind: type[T]) -> T:
        return msgspec.json.decode(await self._ask_catalog_raw(question), type=kind)

    async def _ask_catalog_raw(self, question: Any) -> bytes:
        return await self._ask_raw(catalog_subject(self.tenant), question)

    async def _ask_raw(self, subject: str, question: Any) -> bytes:
        payload = msgspec.json.encode(question)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        wait, pause, look_at = ANSWER_SECONDS, PAUSE, loop.time() + LOOK_SECONDS
        while True:
            left = deadline - loop.time()
            try:
                body = await self._stream.requests.request(
                    subject, payload, timeout=max(min(wait, left), 0.1)
                )
            except NotPermittedError:
                raise _not_yours(self.tenant) from None
            except NoResponderError:
                # A partition between two owners answers again within the lease's time.
                if left <= 0:
                    raise _nobody(self.tenant) from None
                if loop.time() >= look_at:
                    is_sure = await self._is_sure_of_tenant()
                    look_at = math.inf if is_sure else loop.time() + LOOK_AGAIN_SECONDS
                # Those who lost the same owner do not all come back at the same moment.
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
                pause = min(pause * 2, LONGEST_PAUSE)
            except RequestTimeoutError:
                # The owner may have died with the question in hand; a repeat does no harm.
                if left <= wait:
                    raise _nobody(self.tenant) from None
                wait *= 2
            else:
                return bytes(value_of(body))

    async def _is_sure_of_tenant(self) -> bool:
        """Return False if nobody could tell; raises NotFoundError if there is no such tenant."""
        question = msgspec.json.encode(ListTenants())
        try:
            body = await self._stream.requests.request(ADMIN_SUBJECT, question, timeout=1.0)
        except (NoResponderError, RequestTimeoutError):
            return False
        except NotPermittedError:
            return True  # a tenant's own user may not ask, and there is one
        answer = msgspec.json.decode(body, type=Answer)
        if answer.problem is not None:
            return False
        known = msgspec.json.decode(answer.value, type=list[TenantRecord])
        if self.tenant not in [tenant.name for tenant in known]:
            raise NotFoundError(
                f"there is no tenant {self.tenant}", hint="see them with: flunq tenants list"
            )
        return True


def _lacks(events: Sequence[LazyEvent], seen: int, *, moved: bool) -> bool:
    """Tell whether events are missing between the last one seen and a page: they were trimmed."""
    return events[0].seq > seen + 1 if events else moved


async def _bundled(text: str, fetching: Fetching | None) -> Bundle:
    # Deferred: most clients register nothing.
    from flunq.client.bundling import bundle_document
    from flunq.client.resources import Fetching
    from flunq.core.reading import InvalidDocument, read_document

    try:
        document = await asyncio.to_thread(read_document, text, name="document")
    except InvalidDocument:
        return Bundle(digest="")  # the engine says what is wrong
    return await bundle_document(document, fetching or Fetching())


def _not_yours(tenant: str) -> RejectedError:
    return RejectedError(
        f"this user may not act for tenant {tenant}",
        hint="choose another context: flunq context list",
    )


def _nobody(tenant: str) -> UnavailableError:
    return UnavailableError(
        f"no engine node answers for tenant {tenant}",
        hint="see what runs with: flunq status",
    )


def _ref(workflow: str | WorkflowRef) -> WorkflowRef:
    if isinstance(workflow, WorkflowRef):
        return workflow
    rest, _, version = workflow.partition(":")
    namespace, _, name = rest.rpartition("/")
    return WorkflowRef(namespace=namespace, name=name, version=version, digest="")
