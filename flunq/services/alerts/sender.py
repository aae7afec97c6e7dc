"""Tells webhooks: through the client and the rules about addresses that tasks have, too."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flunq.sdk.context import ExecutorSettings
from flunq.sdk.executor import TaskError
from flunq.sdk.web.client import HttpClient, Outgoing, parse_url
from flunq.services.alerts.messages import SIGNATURE, request_of, signature

if TYPE_CHECKING:
    from flunq.core.alerts import AlertRule, Notice
    from flunq.sdk.egress import EgressPolicy
    from flunq.services.clock import Clock
    from flunq.services.vault import VaultSecrets

SECONDS = 10.0
MOST_ANSWER = 64 << 10
_OK = range(200, 300)
_AGAIN = frozenset({408, 425, 429})
SERVER_ERROR = 500


class UndeliverableError(Exception):
    """It did not arrive; ``final`` tells that it never will."""

    def __init__(self, problem: str, *, final: bool = False) -> None:
        super().__init__(problem)
        self.final = final


class Sender:
    """The way to the webhooks of one tenant."""

    def __init__(
        self, tenant: str, egress: EgressPolicy, secrets: VaultSecrets, clock: Clock
    ) -> None:
        self._tenant = tenant
        self._secrets = secrets
        self._clock = clock
        self._client = HttpClient(ExecutorSettings(egress=egress, max_body=MOST_ANSWER))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def send(self, rule: AlertRule, notice: Notice) -> None:
        """Deliver a notice; raises UndeliverableError."""
        try:
            async with asyncio.timeout(SECONDS):
                request = await self._request(rule, notice)
                reply = await self._client.send(request)
        except TimeoutError:
            raise UndeliverableError(f"no answer within {SECONDS:g} s") from None
        except TaskError as error:
            final = error.type.endswith(("/authorization", "/validation"))
            raise UndeliverableError(str(error), final=final) from error
        if reply.status not in _OK:
            final = reply.status < SERVER_ERROR and reply.status not in _AGAIN
            raise UndeliverableError(f"{request.place} answered {reply.status}", final=final)

    async def _request(self, rule: AlertRule, notice: Notice) -> Outgoing:
        assert rule.webhook is not None
        headers, body = request_of(self._tenant, rule, notice)
        if rule.webhook.secret:
            key = await self._key(rule.webhook.secret)
            headers[SIGNATURE] = signature(key, body, self._clock.now())
        return Outgoing("POST", parse_url(rule.webhook.url), headers, body)

    async def _key(self, name: str) -> str:
        await self._secrets.load()
        try:
            return str(self._secrets.resolve(name))
        except TaskError as error:
            # It may be kept a moment later.
            raise UndeliverableError(str(error)) from error
