"""Webhooks: what they are told, how they know that it is true, and where they may not be."""

from __future__ import annotations

import hmac
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flunq.core.alerts import AlertRule, Notice, Webhook
from flunq.log.memory import MemoryBroker, MemoryDatabase
from flunq.log.select import StreamSettings
from flunq.sdk.egress import EgressPolicy
from flunq.sdk.secrets import EnvironmentSecrets
from flunq.services.alerts.sender import Sender, UndeliverableError
from flunq.services.clock import SystemClock
from flunq.services.vault import Vault, VaultSecrets, new_key
from tests.support.http_stub import Answer, HttpStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOTICE = Notice(rule="slow", number=3, status="firing", time=1_000, since=500, value=[{"n": 1}])


@pytest.fixture
async def vault() -> AsyncIterator[Vault]:
    settings = StreamSettings()
    async with MemoryDatabase(settings, MemoryBroker()) as store:
        await store.ensure()
        vault = Vault(store.secrets, "default", new_key(), SystemClock())
        await vault.put("key", "s3cret")
        yield vault


def sender(vault: Vault, egress: EgressPolicy | None = None) -> Sender:
    secrets = VaultSecrets(vault, EnvironmentSecrets())
    return Sender("default", egress or EgressPolicy.development(), secrets, SystemClock())


def rule(url: str, **more: str) -> AlertRule:
    webhook = Webhook(url=url, headers={"X-Team": "orders"}, **more)  # type: ignore[arg-type]
    return AlertRule(name="slow", query="select 1", description="It is slow.", webhook=webhook)


async def test_a_webhook_gets_the_event_and_can_check_it(vault: Vault) -> None:
    async with HttpStub() as stub:
        with closing(sender(vault)) as way:
            await way.send(rule(stub.url, secret="key"), NOTICE)
        (request,) = stub.requests
    moment, mac = (part.partition("=")[2] for part in request.headers["flunq-signature"].split(","))
    wanted = hmac.new(b"s3cret", moment.encode() + b"." + request.body, "sha256").hexdigest()
    assert mac == wanted
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert (request.key, request.headers["x-team"]) == ("slow.1000.firing", "orders")
    event = request.json()
    assert (event["type"], event["subject"]) == ("io.flunq.alert.firing", "slow")
    assert event["data"]["rows"] == [{"n": 1}]


async def test_a_chat_gets_a_text(vault: Vault) -> None:
    async with HttpStub() as stub:
        with closing(sender(vault)) as way:
            await way.send(rule(stub.url, format="json"), NOTICE)
        told = stub.requests[0].json()
    assert told["text"] == "[firing] slow (default): It is slow."
    assert (told["status"], told["number"]) == ("firing", 3)
    assert "flunq-signature" not in stub.requests[0].headers


@pytest.mark.parametrize(("status", "final"), [(503, False), (429, False), (404, True)])
async def test_a_refusal_may_be_for_good(vault: Vault, status: int, final: bool) -> None:
    async with HttpStub() as stub:
        url = stub.answer("/hook", Answer(status))
        with closing(sender(vault)) as way, pytest.raises(UndeliverableError) as caught:
            await way.send(rule(url), NOTICE)
    assert caught.value.final is final


async def test_addresses_that_calls_may_not_reach_are_no_webhooks(vault: Vault) -> None:
    async with HttpStub() as stub:
        with (
            closing(sender(vault, EgressPolicy())) as way,
            pytest.raises(UndeliverableError, match="loopback") as caught,
        ):
            await way.send(rule(stub.url), NOTICE)
        assert (caught.value.final, stub.requests) == (True, [])


async def test_a_secret_may_be_kept_a_moment_later(vault: Vault) -> None:
    async with HttpStub() as stub:
        with closing(sender(vault)) as way:
            with pytest.raises(UndeliverableError) as caught:
                await way.send(rule(stub.url, secret="other"), NOTICE)
            assert not caught.value.final
            await vault.put("other", "x")
            await way.send(rule(stub.url, secret="other"), NOTICE)
        assert len(stub.requests) == 1
