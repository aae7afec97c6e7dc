"""Sends batches of spans to a collector, again and again while it cannot take them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import httpx
import msgspec

from flunq.sdk.context import ExecutorSettings
from flunq.sdk.egress import EgressPolicy
from flunq.sdk.executor import TaskError
from flunq.sdk.web.client import HttpClient, Outgoing, Reply
from flunq.telemetry.catalog import counter
from flunq.telemetry.otlp import request_body, request_headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq.telemetry.otlp import TraceSettings
    from flunq.telemetry.spans import Span

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
LONGEST_WISH = 300.0
"""A collector that asks for more patience than this has to be asked."""
_OK = range(200, 300)
_PASSING = frozenset({429, 502, 503, 504})
"""What the protocol says may be sent again; other refusals are for good."""


class _Partial(msgspec.Struct, rename="camel"):
    rejected_spans: int | str = 0
    error_message: str = ""


class _Taken(msgspec.Struct, rename="camel"):
    partial_success: _Partial | None = None


class Exporter:
    """The way to one collector, for one tenant."""

    def __init__(
        self,
        settings: TraceSettings,
        tenant: str,
        *,
        version: str,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._settings = settings
        self._version = version
        self._first_pause = first_pause
        # The operator names the collector, which is often a neighbour.
        self._client = HttpClient(ExecutorSettings(egress=EgressPolicy.development()))
        self._sent = counter("flunq_spans_total", tenant, "sent")
        self._refused = counter("flunq_spans_total", tenant, "refused")
        self.problem = ""
        """Why nothing is taken at the moment."""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def send(self, spans: Sequence[Span]) -> None:
        """Return once the collector has taken a batch, or has refused it for good."""
        body = request_body(self._settings, spans, version=self._version)
        pause = self._first_pause
        while True:
            wish = await self._try(body, len(spans))
            if wish is None:
                return
            await asyncio.sleep(min(max(wish, pause), LONGEST_WISH))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _try(self, body: bytes, count: int) -> float | None:
        """Send once; returns how long the collector wants to rest, None if it is done with."""
        try:
            async with asyncio.timeout(self._settings.timeout):
                reply = await self._client.send(self._request(body))
        except TimeoutError:
            return self._failed(f"no answer within {self._settings.timeout:g} s")
        except TaskError as error:
            return self._failed(str(error))
        if reply.status in _PASSING:
            self._failed(f"it answered {reply.status}")
            wish = reply.headers.get("retry-after", "")
            return float(wish) if wish.isdecimal() else 0.0
        self._done(reply, count)
        return None

    def _request(self, body: bytes) -> Outgoing:
        url = httpx.URL(self._settings.endpoint)
        return Outgoing("POST", url, request_headers(self._settings), body)

    def _failed(self, problem: str) -> float:
        if problem != self.problem:
            log.warning("the collector takes no spans for now: %s", problem)
        self.problem = problem
        return 0.0

    def _done(self, reply: Reply, count: int) -> None:
        refused = count if reply.status not in _OK else _refused_of(reply)
        self._sent.inc(count - refused)
        if refused:
            self._refused.inc(refused)
            log.warning("the collector refused %d spans with %d", refused, reply.status)
        if self.problem:
            log.info("the collector takes spans again")
        self.problem = ""


def _refused_of(reply: Reply) -> int:
    try:
        partial = msgspec.json.decode(reply.body, type=_Taken).partial_success
        return 0 if partial is None else int(partial.rejected_spans)
    except (msgspec.MsgspecError, ValueError):
        return 0  # some answer with nothing, or with a page
