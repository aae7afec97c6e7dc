"""Log lines as they are on disk: our JSON, nats-server's own format, or anything else."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

_NATS_LINE = re.compile(
    r"\[\d+\] (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d+)?) \[(\w+)\] (.*)", re.DOTALL
)
_NATS_LEVELS = {
    "INF": "info",
    "WRN": "warning",
    "ERR": "error",
    "FTL": "critical",
    "DBG": "debug",
    "TRC": "debug",
}


class LogLine(msgspec.Struct, kw_only=True):
    """One line, whoever wrote it."""

    time: str
    """ISO 8601 in UTC; empty when the writer gave none."""
    level: str
    service: str = ""
    message: str
    logger: str | None = None
    execution: str | None = None
    task: str | None = None
    trace: str | None = None
    error: str | None = None
    traceback: str | None = None


class _OurLine(msgspec.Struct):
    time: str = ""
    level: str = "info"
    message: str = ""
    logger: str | None = None
    execution: str | None = None
    task: str | None = None
    trace: str | None = None
    error: str | None = None
    traceback: str | None = None


_decoder = msgspec.json.Decoder(_OurLine)


def parse_line(line: str, *, service: str = "", utc: bool = False) -> LogLine:
    """Read a line; whatever cannot be read is the message itself."""
    if line.startswith("{"):
        try:
            ours = _decoder.decode(line)
        except msgspec.DecodeError:
            return LogLine(time="", level="info", service=service, message=line)
        return LogLine(
            time=ours.time,
            level=ours.level,
            service=service,
            message=ours.message,
            logger=ours.logger,
            execution=ours.execution,
            task=ours.task,
            trace=ours.trace,
            error=ours.error,
            traceback=ours.traceback,
        )
    match = _NATS_LINE.match(line)
    if match is None:
        return LogLine(time="", level="info", service=service, message=line)
    stamp, level, message = match.groups()
    return LogLine(
        time=_nats_time(stamp, utc=utc),
        level=_NATS_LEVELS.get(level, "info"),
        service=service,
        message=message.strip(),
    )


def _nats_time(stamp: str, *, utc: bool) -> str:
    pattern = "%Y/%m/%d %H:%M:%S.%f" if "." in stamp else "%Y/%m/%d %H:%M:%S"
    naive = datetime.strptime(stamp, pattern)  # noqa: DTZ007 - the zone is added on the next line
    moment = naive.replace(tzinfo=UTC) if utc else naive.astimezone(UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def message_of(line: str) -> str:
    """Return what a line says, without its time and level."""
    parsed = parse_line(line)
    return f"{parsed.message} ({parsed.error})" if parsed.error else parsed.message
