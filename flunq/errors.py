"""Every error that flunq raises on purpose.

    FlunqError
    ├── UsageError              the command or call was wrong                     exit 2
    ├── RejectedError           a document or an input breaks a rule              exit 3
    │   ├── IdConflictError     same execution id, other workflow or input        exit 3
    │   └── ConflictError       not possible in the present state                 exit 3
    ├── NotFoundError           no such execution, workflow, context ...          exit 4
    ├── WaitTimeoutError        the wait ended before the thing waited for        exit 5
    ├── UnavailableError        the cluster cannot be reached or does not answer  exit 6
    ├── QuotaExceededError      the tenant has used up what it may use            exit 1
    ├── ExecutionFailedError    the execution faulted or was cancelled            exit 1
    └── InternalError           flunq itself is at fault                          exit 1

Each error carries a stable ``code``, an optional ``hint`` (the next thing to do) and
``details`` (JSON). ``problem()`` gives the RFC 9457 object that the API and ``-o json`` show.
"""

from __future__ import annotations

from typing import Any, ClassVar


class FlunqError(Exception):
    """Base of all errors raised on purpose; never raised itself."""

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Something went wrong"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details
        # Whoever sees a traceback is to know what to do as well.
        for name, text in (("where", details.get("where")), ("hint", hint)):
            if text:
                self.add_note(f"{name}: {text}")

    def problem(self) -> dict[str, Any]:
        """Return the error as an RFC 9457 problem object."""
        problem: dict[str, Any] = {
            "type": f"urn:flunq:error:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.message,
        }
        if self.hint:
            problem["hint"] = self.hint
        problem.update(self.details)
        return problem


class UsageError(FlunqError):
    """The command line or a call was wrong."""

    code, title, status, exit_code = "usage", "Wrong usage", 400, 2


class RejectedError(FlunqError):
    """A document or an input breaks a rule."""

    code, title, status, exit_code = "rejected", "Rejected", 422, 3


class IdConflictError(RejectedError):
    """An execution with this id exists, with another workflow or input."""

    code, title, status = "id-conflict", "The id is taken", 409


class ConflictError(RejectedError):
    """What was asked for is not possible in the present state."""

    code, title, status = "conflict", "Not possible now", 409


class NotFoundError(FlunqError):
    """The named thing does not exist."""

    code, title, status, exit_code = "not-found", "Not found", 404, 4


class WaitTimeoutError(FlunqError):
    """The deadline passed before the thing waited for happened."""

    code, title, status, exit_code = "wait-timeout", "Timed out waiting", 504, 5


class UnavailableError(FlunqError):
    """The cluster cannot be reached or does not answer."""

    code, title, status, exit_code = "unavailable", "Cluster not reachable", 503, 6


class QuotaExceededError(FlunqError):
    """The tenant has used up what it may use; ``details`` name the quota."""

    code, title, status = "quota-exceeded", "The quota is used up", 429


class ExecutionFailedError(FlunqError):
    """The execution ended as faulted or cancelled; ``details`` hold the DSL error."""

    code, title, status = "execution-failed", "The execution did not complete", 409


class InternalError(FlunqError):
    """A defect of flunq itself."""

    code, title = "internal", "Internal error"
