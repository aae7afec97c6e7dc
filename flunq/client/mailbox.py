"""Where results arrive: pushed by owners, asked for again when nothing comes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Self

import msgspec
from msgspec.structs import replace

from flunq.core.ids import partition_of
from flunq.core.protocol import (
    Answer,
    NewOwner,
    Result,
    Results,
    Watch,
    ask_subject,
    owner_subject,
)
from flunq.errors import NotFoundError, UnavailableError, WaitTimeoutError
from flunq.log.ports import NoResponderError, Requests, RequestTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flunq.client.values import Values

    _Waiter = asyncio.Future[Result]

ASK_AGAIN_SECONDS = 2.0
"""After so long without a push owners are asked; also how a fail-over is survived."""
ASK_ANYWAY_SECONDS = 4.0
"""After so long they are asked although others are pushed: one may have been lost."""
KEPT = 10_000
"""Results of executions that this client started and has not asked for."""

_results = msgspec.json.Decoder(Results).decode
_answer = msgspec.json.Decoder(Answer).decode
_new_owner = msgspec.json.Decoder(NewOwner).decode


class Mailbox:
    """Collects the results of one client."""

    def __init__(
        self, requests: Requests, tenant: str, values: Values, repeat: Callable[[int], None]
    ) -> None:
        self.subject = requests.mailbox()
        self.partitions = 1
        self._requests = requests
        self._tenant = tenant
        self._values = values
        self._repeat = repeat
        """Sends commands to a partition's new owner again."""
        self._arrived: dict[str, Result] = {}
        self._expected: set[str] = set()
        self._waiters: dict[str, list[_Waiter]] = {}
        self._heard: dict[int, float] = {}
        """When the owner of each partition answered last."""
        self._pushed = 0.0
        """When results came last that nobody had asked for."""
        self._impatient = 0
        """How many want to know soon whether anybody answers."""
        self._moved: set[int] = set()
        """Partitions with a new owner, which does not know yet who waits."""
        self._news = asyncio.Event()
        self._is_at_rest = True
        """Whether nobody waits, so that nothing need be asked until there is news."""
        self._asker: asyncio.Task[None] | None = None
        self._listening = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as unless_open:
            for subject, receive in (
                (self.subject, self._receive),
                (owner_subject(self._tenant), self._hear_of_owner),
            ):
                await unless_open.enter_async_context(self._requests.listen(subject, receive))
            self._listening = unless_open.pop_all()
        self._asker = asyncio.get_running_loop().create_task(self._ask_again())
        return self

    async def aclose(self) -> None:
        """Listen no more."""
        if self._asker is not None:
            self._asker.cancel()
            await asyncio.gather(self._asker, return_exceptions=True)
        await self._listening.aclose()

    @contextmanager
    def expecting(self, execution: str) -> Iterator[None]:
        """Note that a result will be pushed, unless the start fails that is made meanwhile."""
        self._expected.add(execution)
        try:
            yield
        except BaseException:  # also when cancelled: whoever wants it asks for it
            self.forget(execution)
            raise

    def forget(self, execution: str) -> None:
        """Drop a result that is none any more: the execution goes on."""
        self._arrived.pop(execution, None)
        self._expected.discard(execution)

    async def result(
        self,
        execution: str,
        timeout: float | None,  # noqa: ASYNC109 - it is the API's word
        patience: float | None = None,
    ) -> Result:
        """Wait for a result; raises UnavailableError when nobody answers for ``patience``."""
        result = self._arrived.pop(execution, None)
        if result is None:
            result = await self._wait(execution, timeout, patience)
        output = await self._values.full(result.output)
        return result if output is result.output else replace(result, output=output)

    async def _wait(
        self,
        execution: str,
        timeout: float | None,  # noqa: ASYNC109 - it is the API's word
        patience: float | None,
    ) -> Result:
        # A future for each who waits: one that is given up must not end the others.
        loop = asyncio.get_running_loop()
        waiter: _Waiter = loop.create_future()
        waiters = self._waiters.setdefault(execution, [])
        waiters.append(waiter)
        if self._is_at_rest:
            self._news.set()
        impatience = None
        if patience is not None:
            self._impatient += 1
            impatience = loop.create_task(self._while_heard(waiter, execution, patience))
        try:
            if len(waiters) == 1 and execution not in self._expected:
                await self._ask_for([execution])
            async with asyncio.timeout(timeout):
                return await waiter
        except TimeoutError:
            raise WaitTimeoutError(
                f"execution {execution} has not ended after {timeout:g} s",
                hint=f"see what it waits for: flunq why {execution}",
                id=execution,
            ) from None
        finally:
            if impatience is not None:
                self._impatient -= 1
                impatience.cancel()
            waiters.remove(waiter)
            # Nobody asks any longer for what nobody waits for.
            if not waiters and self._waiters.get(execution) is waiters:
                del self._waiters[execution]

    async def _while_heard(self, waiter: _Waiter, execution: str, patience: float) -> None:
        """Let a wait fail with UnavailableError once nobody has answered for so long."""
        now = asyncio.get_running_loop().time
        since, number = now(), self._place(execution)
        while (left := max(since, self._heard.get(number, since)) + patience - now()) > 0:
            await asyncio.wait([waiter], timeout=left)
            if waiter.done():
                return
        silent = UnavailableError(
            f"the cluster has not answered for {patience:g} s",
            hint=f"see what runs with: flunq status; the execution {execution} goes on "
            "when its cluster does",
            id=execution,
        )
        _refuse([waiter], silent)

    def _receive(self, body: bytes) -> None:
        self._pushed = asyncio.get_running_loop().time()
        for result in _results(body).results:
            self._take(result)

    def _take(self, result: Result) -> None:
        waiters = self._waiters.pop(result.id, None)
        if waiters is not None:
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(result)
        elif result.id in self._expected:
            if len(self._arrived) >= KEPT:
                self._arrived.pop(next(iter(self._arrived)))
            self._arrived[result.id] = result
        self._expected.discard(result.id)

    def _hear_of_owner(self, body: bytes) -> None:
        partition = _new_owner(body).partition
        self._moved.add(partition)
        self._news.set()
        self._repeat(partition)

    async def _ask_again(self) -> None:
        loop = asyncio.get_running_loop()
        asked: float | None = None
        while True:
            if not self._waiters:
                asked = None
            elif asked is None:
                asked = loop.time()
            self._is_at_rest = asked is None
            with suppress(TimeoutError):
                async with asyncio.timeout_at(None if asked is None else self._due(asked)):
                    await self._news.wait()
            self._news.clear()
            moved, self._moved = self._moved, set()
            try:
                if moved:
                    wanted = sorted(self._waiters.keys() | self._expected)
                    await self._ask_for([each for each in wanted if self._place(each) in moved])
                if asked is not None and loop.time() >= self._due(asked):
                    asked = loop.time()
                    await self._ask_all()
            except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
                self._fail(error)

    def _due(self, asked: float) -> float:
        """Return when to ask again: later while results come, unless somebody is impatient."""
        quiet_since = asked if self._impatient else max(asked, self._pushed)
        return min(quiet_since + ASK_AGAIN_SECONDS, asked + ASK_ANYWAY_SECONDS)

    async def _ask_all(self) -> None:
        if self._waiters and await self._ask_for(list(self._waiters)):
            # A push went astray: others may have gone the same way.
            await self._ask_for(sorted(self._expected))

    def _place(self, execution: str) -> int:
        return partition_of(execution, self.partitions)

    def _fail(self, error: Exception) -> None:
        """Nothing can be asked any more, as when the connection is gone for good."""
        waiters, self._waiters = self._waiters, {}
        for each in waiters.values():
            lost = UnavailableError("the cluster cannot be asked any more", reason=str(error))
            _refuse(each, lost)

    async def _ask_for(self, executions: list[str]) -> bool:
        """Ask their owners; tell whether one knew results that had not been pushed."""
        by_partition: dict[int, list[str]] = {}
        for execution in executions:
            number = self._place(execution)
            by_partition.setdefault(number, []).append(execution)
        found = await asyncio.gather(*(self._ask_in_parts(*part) for part in by_partition.items()))
        return any(found)

    async def _ask_in_parts(self, number: int, ids: list[str]) -> bool:
        found = False
        for start in range(0, len(ids), 1000):
            answer = await self._ask_partition(number, ids[start : start + 1000])
            if answer is None:
                break  # nobody answers the next part either
            found |= answer
        return found

    async def _ask_partition(self, number: int, ids: list[str]) -> bool | None:
        """Ask about some executions; None if nobody answers."""
        question = msgspec.json.encode(Watch(ids=ids, mailbox=self.subject))
        subject = ask_subject(self._tenant, number)
        try:
            body = await self._requests.request(subject, question, timeout=ASK_AGAIN_SECONDS)
        except (NoResponderError, RequestTimeoutError):
            return None
        self._heard[number] = asyncio.get_running_loop().time()
        answer = _answer(body)
        if answer.problem is not None:
            return False
        results = _results(answer.value)
        for result in results.results:
            self._take(result)
        for execution in results.missing:
            if execution not in self._expected:
                missing = NotFoundError(
                    f"no execution {execution}", hint="list the newest with: flunq list"
                )
                _refuse(self._waiters.get(execution, ()), missing)
        return bool(results.results)


def _refuse(waiters: Iterable[_Waiter], error: Exception) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_exception(error)
            waiter.exception()  # nobody may be waiting any longer
