"""A workflow with a bit of everything, run many times, and the checks that always hold."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, Any

from flunq.core.execution.commands import Start, WorkflowRef
from flunq.core.ids import partition_of
from flunq.errors import NotFoundError
from flunq.log.nats import NatsEventStream
from flunq.services.wire import encode_commands
from tests.support.http_stub import Answer
from tests.support.processes import check_histories, check_keys, start_insistently
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from flunq.client.client import Client
    from flunq.core.protocol import Result
    from tests.support.http_stub import HttpStub, Request
    from tests.support.processes import Cluster

MIXED = """
document: {dsl: 1.0.3, namespace: test, name: mixed, version: 1.0.0}
do:
  - first: {call: bump, with: {n: '${ .n }'}}
  - post:
      call: http
      with: {method: post, endpoint: '${ $workflow.input.url + "/post" }', body: '${ . }'}
      output: {as: '${ $input }'}
  - tell:
      emit: {event: {with: {source: "https://example.com/test", type: test.told, data: '${ . }'}}}
      output: {as: '${ $input }'}
  - pause: {wait: {milliseconds: 300}}
  - both:
      fork:
        branches:
          - left: {call: bump, with: {n: '${ .n }'}}
          - right: {call: bump, with: {n: '${ .n + 10 }'}}
      output: {as: '${ {n: (.[0].n + .[1].n)} }'}
  - patient:
      try:
        - flaky:
            call: http
            with: {method: post, endpoint: '${ $workflow.input.url + "/flaky" }', body: '${ . }'}
            output: {as: '${ $input }'}
      catch:
        errors: {with: {status: 503}}
        retry:
          delay: {milliseconds: 50}
          limit: {attempt: {count: 20}}
  - last: {call: bump, with: {n: '${ .n }'}}
"""
FUNCTION_STEPS = ("first", "left", "right", "last")
HTTP_STEPS = ("post", "flaky")


def expected(n: int) -> dict[str, int]:
    """Return the right output for an input."""
    return {"n": (n + 2) + (n + 12) + 1}


ONE_IN = 5
"""So many executions meet an error once: with more the breaker of the ledger would open."""


def unsteady(ledger: HttpStub) -> str:
    """Let the first call of some executions fail on ``/flaky``; return the ledger's address."""

    def answer(request: Request) -> Answer:
        key = request.key or ""
        number = int(key.partition(":")[0].rpartition("-")[2])
        fails = number % ONE_IN == 0 and ledger.ledger[key] < 2
        return Answer(503) if fails else Answer(json={"ok": True})

    ledger.answer("/flaky", answer)
    return ledger.url


class Load:
    """Executions under way: what was acknowledged must end right."""

    def __init__(self, cluster: Cluster, client: Client, ledger: HttpStub) -> None:
        self._cluster = cluster
        self._client = client
        self._ledger = ledger
        self.acknowledged: dict[str, int] = {}
        self.results: dict[str, Any] = {}

    async def run(self, count: int, *, in_flight: int = 25, within: float = 50.0) -> None:
        """Run executions, some at a time, to their ends."""
        url = await self._prepared()
        slots = asyncio.Semaphore(in_flight)

        async def one(n: int) -> None:
            async with slots:
                await self._run_one(n, url, within)

        async with asyncio.timeout(within), asyncio.TaskGroup() as group:
            for n in range(count):
                group.create_task(one(n))

    async def run_until(
        self, enough: asyncio.Event, *, in_flight: int = 25, within: float = 50.0
    ) -> None:
        """Run executions to their ends, always so many at a time until it is enough."""
        url, numbers = await self._prepared(), itertools.count()

        async def one_after_the_other() -> None:
            while not enough.is_set():
                await self._run_one(next(numbers), url, within)

        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(one_after_the_other())

    async def _prepared(self) -> str:
        """Register the workflow; return the address that its executions call."""
        url = unsteady(self._ledger)
        await self._client.apply(MIXED)
        return url

    async def _run_one(self, n: int, url: str, within: float) -> None:
        id = f"mixed-{n}"
        run = await start_insistently(self._client, "mixed", {"n": n, "url": url}, id)
        self.acknowledged[id] = n
        self.results[id] = await run.wait(within)

    async def run_through_inbox(self, count: int, *, within: float = 50.0) -> None:
        """Run executions whose starts no owner was asked to take."""
        url = await self._prepared()
        partitions = (await self._client.info()).partitions
        ref = WorkflowRef(namespace="test", name="mixed", version="", digest="")
        async with NatsEventStream(self._cluster.settings()) as stream:
            for n in range(count):
                start = Start(id=f"stored-{n}", workflow=ref, input={"n": n, "url": url})
                body = encode_commands([start])
                number = partition_of(start.id, partitions)
                await stream.inbox.publish(number, body, message_id=start.id, external=True)
                self.acknowledged[start.id] = n
        for id in [f"stored-{n}" for n in range(count)]:
            self.results[id] = await self._ended(id, within)

    async def _ended(self, id: str, within: float) -> Result:
        deadline = time.monotonic() + within
        while True:
            try:
                return await self._client.result(id, timeout=within)
            except NotFoundError:
                # The owner has not read that far.
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)

    async def reached(self, count: int) -> None:
        """Return once so many executions have ended."""
        await eventually(lambda: len(self.results) >= count, within=60)

    async def check(self) -> None:
        """All ended right, with whole histories and one idempotency key per step."""
        assert self.results.keys() == self.acknowledged.keys()
        for id, n in self.acknowledged.items():
            result = self.results[id]
            assert (result.status, result.output) == ("completed", expected(n)), result
        await check_histories(self._client, self.acknowledged)
        check_keys(self._cluster.calls().keys, FUNCTION_STEPS, self.acknowledged)
        check_keys(self._ledger.ledger, HTTP_STEPS, self.acknowledged)
