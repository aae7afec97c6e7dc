"""Answers of the cluster, and the errors that those are which refuse."""

from __future__ import annotations

from typing import Any

import msgspec

from flunq.core.protocol import Answer
from flunq.errors import (
    ConflictError,
    FlunqError,
    IdConflictError,
    InternalError,
    NotFoundError,
    QuotaExceededError,
    RejectedError,
    UnavailableError,
    UsageError,
    WaitTimeoutError,
)

_ID_CONFLICT = f"urn:flunq:error:{IdConflictError.code}"
_BY_STATUS: dict[int, type[FlunqError]] = {
    400: UsageError,
    404: NotFoundError,
    409: ConflictError,
    422: RejectedError,
    429: QuotaExceededError,
    503: UnavailableError,
    504: WaitTimeoutError,
}


def value_of(body: bytes) -> msgspec.Raw:
    """Return the encoded value of an answer; raises what it refuses with."""
    answer = msgspec.json.decode(body, type=Answer)
    if answer.problem is not None:
        raise error_of(answer.problem)
    return answer.value


def error_of(problem: dict[str, Any]) -> FlunqError:
    """Return the error that a problem object describes."""
    details = dict(problem)
    status = details.pop("status", 500)
    message = details.pop("detail", "the engine refused")
    hint = details.pop("hint", None)
    details.pop("title", None)
    if details.pop("type", "") == _ID_CONFLICT:
        return IdConflictError(message, hint=hint, **details)
    return _BY_STATUS.get(status, InternalError)(message, hint=hint, **details)
