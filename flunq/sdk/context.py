"""What an executor is given: its surroundings, and the surroundings of one call."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.sdk.concealing import CallSecrets
from flunq.sdk.egress import EgressPolicy
from flunq.sdk.executor import TaskError
from flunq.sdk.secrets import EnvironmentSecrets, Secrets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flunq.core.expressions import ExpressionEngine

    Bundled = Callable[[str], Awaitable[bytes]]

_LOGGER = logging.getLogger("flunq.executor")


class ExecutorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and policies that hold for every call."""

    egress: EgressPolicy = EgressPolicy()
    request_timeout: float = 60.0
    """Seconds that one request may take in all, redirects and body included."""
    max_body: int = 64 * 1024 * 1024
    """Bytes of a response body, after decompression."""
    max_connections: int = 256
    sync_threads: int = 32
    """Threads for functions that are not ``async``."""
    programs: bool = False
    """Whether local programs may run and local files may be read."""
    program_memory: int = 4 << 30
    """Bytes of data that one process of a program may have."""
    program_file_size: int = 4 << 30
    """Bytes of the largest file that a program may write."""
    program_processes: int = 512
    """Processes that a program may have at the same time."""


class TaskWithdrawnError(Exception):
    """Nobody wants the outcome of this call any more."""


class ExecutorContext:
    """Shared by all calls of a process."""

    __slots__ = ("bundled", "engine", "kept", "logger", "secrets", "secrets_of", "settings")

    def __init__(
        self,
        settings: ExecutorSettings | None = None,
        *,
        secrets: Secrets | None = None,
        logger: logging.Logger = _LOGGER,
        bundled: Bundled | None = None,
        engine: ExpressionEngine | None = None,
        secrets_of: Callable[[str], Secrets] | None = None,
    ) -> None:
        self.settings = settings or ExecutorSettings()
        self.secrets = secrets or EnvironmentSecrets()
        self.secrets_of = secrets_of or (lambda _: self.secrets)
        """What the calls of one execution, named by its id, may have."""
        self.logger = logger
        self.bundled: Bundled = bundled or _nothing_bundled
        """Reads what was bundled with a definition, by its SHA-256."""
        self.engine = engine
        """Evaluates expressions that take a process of their own; see flunq.sdk.expressions."""
        self.kept: dict[str, Any] = {}
        """What modules of the SDK keep for all calls: clients, caches."""

    def close(self) -> None:
        """Close what is kept; a later call opens it anew."""
        kept = list(self.kept.values())
        self.kept.clear()
        for thing in kept:
            if hasattr(thing, "close"):
                thing.close()


class TaskContext:
    """Belongs to one call; safe to use from another thread."""

    __slots__ = ("_secrets", "cancelled", "shared")

    def __init__(self, shared: ExecutorContext, secrets: CallSecrets | None = None) -> None:
        self.shared = shared
        self._secrets = secrets or CallSecrets(shared.secrets)
        self.cancelled = False
        """True once nobody wants the outcome any more."""

    @property
    def settings(self) -> ExecutorSettings:
        """Limits and policies."""
        return self.shared.settings

    @property
    def secrets(self) -> Secrets:
        """Resolves secrets by name; what it returned is concealed in the outcome of the call."""
        return self._secrets

    def conceal(self, text: str) -> None:
        """Keep a text out of the outcome and the log: a token that the call obtained, say."""
        self._secrets.conceal(text)

    @property
    def logger(self) -> logging.Logger:
        """Where an executor writes its log."""
        return self.shared.logger

    def heartbeat(self) -> None:
        """Raise TaskWithdrawnError when the call should stop; for long work in threads."""
        if self.cancelled:
            raise TaskWithdrawnError("the task was withdrawn")


async def _nothing_bundled(digest: str) -> bytes:
    raise TaskError(
        "configuration",
        400,
        "The resource is not here",
        f"the content {digest[:12]} was bundled with a definition that this process cannot read",
    )
