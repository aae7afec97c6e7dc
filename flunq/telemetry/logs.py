"""Logging of service processes: one JSON object a line, with the execution it is about.

The truth about executions is in events; logs are diagnostics for whoever runs the cluster.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

_NOTHING = (None, None, None)
_about: ContextVar[tuple[str | None, str | None, str | None]] = ContextVar(
    "flunq_about", default=_NOTHING
)
"""Execution, task and W3C trace context."""
_CONTEXT = ("execution", "task", "trace")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", *_CONTEXT}
_TRACEPARENT_PARTS = 4


def log_about(execution: str, task: str, traceparent: str | None) -> None:
    """Name what log lines of the running asyncio task are about from here on."""
    _about.set((execution, task, traceparent))


def trace_of(traceparent: str | None) -> str | None:
    """Return the id of the trace that a W3C trace context names."""
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) >= _TRACEPARENT_PARTS else None


class ContextFilter(logging.Filter):
    """Adds the current execution, task and trace to each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, with its context."""
        record.execution, record.task, traceparent = _about.get()
        record.trace = trace_of(traceparent)
        return True


class JsonFormatter(logging.Formatter):
    """Renders a record as one JSON object without line breaks."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON; ``extra`` members become members."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="microseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in _CONTEXT:
            value = getattr(record, name, None)
            if value is not None:
                line[name] = value
        line.update((k, v) for k, v in vars(record).items() if k not in _STANDARD)
        if record.exc_info:
            line["error"] = _summary(record)
            line["traceback"] = self.formatException(record.exc_info)
        try:
            return msgspec.json.encode(line, enc_hook=str).decode()
        except UnicodeEncodeError:  # of a file's name, say, that is no UTF-8
            text = json.dumps(line, ensure_ascii=False, default=str)
            return text.encode("utf-8", "replace").decode()


class PlainFormatter(logging.Formatter):
    """Renders a record for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return ``time level message``, and the traceback where everything is told."""
        moment = datetime.fromtimestamp(record.created).astimezone()
        text = f"{moment:%H:%M:%S} {record.levelname.lower():7} {record.getMessage()}"
        if not record.exc_info:
            return text
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            return f"{text}\n{self.formatException(record.exc_info)}"
        return f"{text}: {_summary(record)}"


def _summary(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return ""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - an exception of foreign code
        return type(error).__name__


def configure_logging(
    *, level: str | None = None, style: str = "json", stream: TextIO | None = None
) -> None:
    """Send everything to stderr, as JSON lines or plainly."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else PlainFormatter())
    handler.addFilter(ContextFilter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel((level or os.environ.get("FLUNQ_LOG_LEVEL") or "info").upper())
    # Every request at INFO would bury what matters.
    for noisy in ("httpx", "httpcore", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
