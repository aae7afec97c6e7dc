"""``call: grpc`` and ``call: asyncapi`` on a cluster: durable, with real servers, through kills."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import nats
import pytest

from tests.support.brokers import broker
from tests.support.grpc_stub import GrpcStub
from tests.support.http_stub import Answer, HttpStub
from tests.support.processes import check_histories, running_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(90)
SECRETS = {"FLUNQ_SECRET_KEEPER": '{"token": "top-secret-token"}'}
PROTO = """
syntax = "proto3";
package bank;
import "money.proto";
service Accounts {
  rpc Book(Money) returns (Money);
  rpc List(Money) returns (stream Money);
}
"""
MESSAGE = "message Money { string currency = 1; int32 units = 2; }"
MONEY = f'syntax = "proto3"; package bank; {MESSAGE}'
BOOKING = """
document: {dsl: 1.0.3, namespace: test, name: booking, version: 1.0.0}
use:
  secrets: [keeper]
  authentications:
    keeper: {bearer: {use: keeper}}
do:
  - book:
      call: grpc
      with:
        proto: {endpoint: 'HTTP/{file}'}
        service: {name: Accounts, host: localhost, port: PORT, authentication: {use: keeper}}
        method: Book
        arguments: {currency: EUR, units: '${ .units }'}
  - list:
      call: grpc
      with:
        proto: {endpoint: 'HTTP/accounts.proto'}
        service: {name: bank.Accounts, host: localhost, port: PORT}
        method: List
      output: {as: '${ map(.units) }'}
"""
DOCUMENT = """
asyncapi: 3.0.0
info: {title: Numbers, version: 1.0.0}
servers: {main: {host: '127.0.0.1:PORT', protocol: nats}}
channels: {numbers: {address: numbers, messages: {n: {payload: {type: object}}}}}
operations: {numbers: {action: send, channel: {$ref: '#/channels/numbers'}}}
"""
NUMBERS = """
document: {dsl: 1.0.3, namespace: test, name: numbers, version: 1.0.0}
do:
  - each:
      call: asyncapi
      with:
        document: {endpoint: 'HTTP/numbers.yaml'}
        operation: numbers
        subscription:
          filter: ${ .payload.n % 2 == 0 }
          consume: {until: '${ ($context | length) == 4 }'}
          foreach:
            item: message
            do:
              - answer:
                  call: asyncapi
                  with:
                    document: {endpoint: 'HTTP/numbers.yaml'}
                    operation: numbers
                    message: {payload: {n: '${ 10 * $message.payload.n + 1 }'}}
                  output: {as: '${ .payload.n }'}
            export: {as: '${ ($context // []) + [.] }'}
"""


async def test_a_grpc_call_is_made_again_with_its_key_after_a_kill(tmp_path: Path) -> None:
    arrived, held = asyncio.Queue[Any](), asyncio.Event()

    async def book(requests: list[Any], _: Any) -> AsyncIterator[Any]:
        arrived.put_nowait(requests[0])
        await held.wait()
        yield requests[0] | {"units": requests[0]["units"] + 1}

    async with (
        HttpStub() as web,
        GrpcStub(PROTO.replace('import "money.proto";', MESSAGE), "Accounts") as bank,
        running_cluster(tmp_path, environment=SECRETS) as cluster,
        cluster.client() as client,
    ):
        web.answer("/accounts.proto", Answer(body=PROTO.encode()))
        web.answer("/money.proto", Answer(body=MONEY.encode()))
        bank.behave("Book", book)
        bank.answer("List", {"units": 1}, {"units": 2})
        await client.apply(BOOKING.replace("HTTP", web.url).replace("PORT", str(bank.port)))
        run = await client.start("booking", {"units": 4, "file": "accounts.proto"})
        await arrived.get()
        cluster.kill("node-1")
        await arrived.get()
        held.set()
        assert await run.result(30) == [1, 2]
        await check_histories(client, [run.id])
    first, again = bank.metadata[:2]
    assert first["idempotency-key"] == again["idempotency-key"] == f"{run.id}:/do/0/book"
    assert first["authorization"] == "Bearer top-secret-token"


async def test_a_subscription_goes_on_after_a_kill(tmp_path: Path) -> None:
    async with (
        broker(tmp_path) as numbers,
        HttpStub() as web,
        running_cluster(tmp_path / "cluster") as cluster,
        cluster.client() as client,
    ):
        document = DOCUMENT.replace("PORT", str(numbers.nats))
        web.answer("/numbers.yaml", Answer(body=document.encode()))
        await client.apply(NUMBERS.replace("HTTP", web.url))
        run = await client.start("numbers")
        finished = asyncio.create_task(run.result(60))
        outside = await nats.connect(f"nats://127.0.0.1:{numbers.nats}")
        answers = await outside.subscribe("numbers")
        killed, heard = False, []
        while not finished.done():
            await outside.publish("numbers", b'{"n": 2}')
            await outside.publish("numbers", b'{"n": 3}')
            heard += await _odd(answers)
            if heard and not killed:
                cluster.kill("node-1")
                killed = True
        assert killed
        assert await finished == [21, 21, 21, 21]
        await check_histories(client, [run.id])
        await outside.close()


async def _odd(subscription: Any) -> list[bytes]:
    """Return the answers that came by now."""
    found = []
    try:
        while True:
            message = await subscription.next_msg(timeout=0.05)
            if b"21" in message.data:
                found.append(message.data)
    except nats.errors.TimeoutError:
        return found
