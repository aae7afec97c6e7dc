"""What an executor is given: its surroundings, and the surroundings of one call."""

from __future__ import annotations

import logging

import msgspec

from flunq.sdk.egress import EgressPolicy
from flunq.sdk.secrets import EnvironmentSecrets, Secrets

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


class TaskWithdrawnError(Exception):
    """Nobody wants the outcome of this call any more."""


class ExecutorContext:
    """Shared by all calls of a process."""

    __slots__ = ("logger", "secrets", "settings")

    def __init__(
        self,
        settings: ExecutorSettings | None = None,
        *,
        secrets: Secrets | None = None,
        logger: logging.Logger = _LOGGER,
    ) -> None:
        self.settings = settings or ExecutorSettings()
        self.secrets = secrets or EnvironmentSecrets()
        self.logger = logger


class TaskContext:
    """Belongs to one call; safe to use from another thread."""

    __slots__ = ("cancelled", "shared")

    def __init__(self, shared: ExecutorContext) -> None:
        self.shared = shared
        self.cancelled = False
        """True once nobody wants the outcome any more."""

    @property
    def settings(self) -> ExecutorSettings:
        """Limits and policies."""
        return self.shared.settings

    @property
    def secrets(self) -> Secrets:
        """Resolves secrets by name."""
        return self.shared.secrets

    @property
    def logger(self) -> logging.Logger:
        """Where an executor writes its log."""
        return self.shared.logger

    def heartbeat(self) -> None:
        """Raise TaskWithdrawnError when the call should stop; for long work in threads."""
        if self.cancelled:
            raise TaskWithdrawnError("the task was withdrawn")
