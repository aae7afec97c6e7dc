"""CloudEvents as flunq stores them: the envelope, the type names and the batch codec."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

BATCH_CONTENT_TYPE = "application/cloudevents-batch+json"

WORKFLOW = "io.serverlessworkflow.workflow."
TASK = "io.serverlessworkflow.task."
ENGINE = "io.flunq."

WORKFLOW_STARTED = WORKFLOW + "started.v1"
WORKFLOW_SUSPENDED = WORKFLOW + "suspended.v1"
WORKFLOW_RESUMED = WORKFLOW + "resumed.v1"
WORKFLOW_CANCELLED = WORKFLOW + "cancelled.v1"
WORKFLOW_FAULTED = WORKFLOW + "faulted.v1"
WORKFLOW_COMPLETED = WORKFLOW + "completed.v1"
CORRELATION_STARTED = WORKFLOW + "correlation-started.v1"
CORRELATION_COMPLETED = WORKFLOW + "correlation-completed.v1"

TASK_CREATED = TASK + "created.v1"
TASK_STARTED = TASK + "started.v1"
TASK_SUSPENDED = TASK + "suspended.v1"
TASK_RESUMED = TASK + "resumed.v1"
TASK_RETRIED = TASK + "retried.v1"
TASK_CANCELLED = TASK + "cancelled.v1"
TASK_FAULTED = TASK + "faulted.v1"
TASK_COMPLETED = TASK + "completed.v1"

COMMIT = ENGINE + "commit"
FENCE = ENGINE + "fence"
QUARANTINED = ENGINE + "execution.quarantined"
DELETED = ENGINE + "execution.deleted"
EXPIRED = ENGINE + "execution.expired"
GONE = frozenset({DELETED, EXPIRED})
"""The last event of an id: what comes later under the same id is another execution."""

TERMINAL_TYPES = frozenset({WORKFLOW_CANCELLED, WORKFLOW_FAULTED, WORKFLOW_COMPLETED, QUARANTINED})


class CloudEvent(msgspec.Struct, kw_only=True, omit_defaults=False, gc=False):
    """One CloudEvent of an execution; ``seq`` counts from 1 without gaps within ``subject``."""

    id: str
    source: str
    type: str
    subject: str
    time: str
    tenant: str
    workflow: str
    partition: int
    seq: int
    data: Any
    specversion: str = "1.0"
    datacontenttype: str = "application/json"
    traceparent: str | msgspec.UnsetType = msgspec.UNSET


class LazyEvent(msgspec.Struct, kw_only=True):
    """The same envelope with ``data`` left as bytes until somebody asks for it."""

    id: str
    source: str
    type: str
    time: str
    subject: str = ""
    tenant: str = ""
    workflow: str = ""
    partition: int = -1
    seq: int = 0
    data: msgspec.Raw = msgspec.Raw(b"null")
    specversion: str = "1.0"
    datacontenttype: str = "application/json"
    traceparent: str | msgspec.UnsetType = msgspec.UNSET

    def value(self) -> Any:
        """Decode ``data``."""
        return msgspec.json.decode(self.data)


_encoder = msgspec.json.Encoder()
_batch_decoder = msgspec.json.Decoder(list[CloudEvent])
_lazy_batch_decoder = msgspec.json.Decoder(list[LazyEvent])


def short_type(type_name: str) -> str:
    """Return ``task.completed`` for ``io.serverlessworkflow.task.completed.v1``."""
    for prefix in (WORKFLOW, TASK):
        if type_name.startswith(prefix):
            family = prefix.rstrip(".").rpartition(".")[2]
            return f"{family}.{type_name.removeprefix(prefix).removesuffix('.v1')}"
    return type_name.removeprefix(ENGINE)


def encode_event(event: CloudEvent) -> bytes:
    """Return one event as structured JSON."""
    return _encoder.encode(event)


def join_batch(encoded: Iterable[bytes]) -> bytes:
    """Join events that are already JSON into one CloudEvents batch."""
    return b"[" + b",".join(encoded) + b"]"


def decode_batch(payload: bytes) -> list[CloudEvent]:
    """Read a batch, data included."""
    return _batch_decoder.decode(payload)


def decode_batch_lazily(payload: bytes) -> list[LazyEvent]:
    """Read the envelopes of a batch; ``data`` stays undecoded."""
    return _lazy_batch_decoder.decode(payload)


def timestamp(now: int) -> str:
    """Return microseconds since the epoch as an RFC 3339 date-time in UTC."""
    seconds, micros = divmod(now, 1_000_000)
    return f"{_second(seconds)}.{micros:06d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """Formatting is slow, and a second has many events."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
