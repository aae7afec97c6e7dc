from __future__ import annotations

import asyncio
import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from flunq.telemetry import logs
from flunq.telemetry.lines import message_of, parse_line

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the root logger writes during a test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    logs.configure_logging(level="info", stream=written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def charge(execution: str, traceparent: str | None = None) -> None:
    """Write a line as a task of an execution."""
    logs.log_about(execution, f"{execution}.a.1", traceparent)
    logging.getLogger("x").info("charged %s", "card")


async def test_a_line_names_the_execution_and_task_it_is_about(stream: io.StringIO) -> None:
    await asyncio.create_task(charge("order-1"))
    logging.getLogger("x").info("idle")
    about, idle = lines(stream)
    assert (about["execution"], about["task"]) == ("order-1", "order-1.a.1")
    assert about["message"] == "charged card"
    assert "execution" not in idle


async def test_a_line_names_the_trace_of_its_execution(stream: io.StringIO) -> None:
    await asyncio.create_task(charge("order-1", "00-4bf92f3577b34da6-00f067aa0ba902b7-01"))
    await asyncio.create_task(charge("order-2", "nonsense"))
    known, unknown = lines(stream)
    assert known["trace"] == "4bf92f3577b34da6"
    assert "trace" not in unknown
    assert parse_line(json.dumps(known)).trace == known["trace"]


def test_members_of_extra_become_members_of_the_line(stream: io.StringIO) -> None:
    logging.getLogger("x").info("committed", extra={"partition": 3})
    assert lines(stream)[0]["partition"] == 3


def test_an_exception_stays_on_one_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("no such thing")
    except ValueError:
        logging.getLogger("x").exception("it broke")
    (line,) = lines(stream)
    assert line["error"] == "ValueError: no such thing"
    assert "Traceback" in line["traceback"]
    assert parse_line(json.dumps(line)).traceback == line["traceback"]


@pytest.mark.parametrize(("level", "told"), [("debug", True), ("info", False)])
def test_the_plain_form_shows_where_an_exception_was_raised_if_all_is_told(
    stream: io.StringIO, level: str, told: bool
) -> None:
    written = io.StringIO()
    logs.configure_logging(level=level, style="plain", stream=written)
    try:
        raise ValueError("no such thing")
    except ValueError:
        logging.getLogger("x").exception("it broke")
    assert "ValueError: no such thing" in written.getvalue()
    assert (__file__ in written.getvalue()) is told


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("error", "shown"),
    [(OSError("no \udcff.txt"), "OSError: no ?.txt"), (MuteError(), "MuteError")],
)
def test_what_cannot_be_written_does_not_keep_the_line_back(error: Exception, shown: str) -> None:
    record = logging.makeLogRecord({"msg": "it broke", "exc_info": (type(error), error, None)})
    line = logs.JsonFormatter().format(record)
    assert parse_line(line).message == "it broke"
    assert json.loads(line)["error"] == shown


def test_a_line_that_was_written_can_be_read(stream: io.StringIO) -> None:
    logging.getLogger("x").warning("careful")
    parsed = parse_line(stream.getvalue().strip(), service="node-1")
    assert (parsed.level, parsed.message, parsed.service) == ("warning", "careful", "node-1")
    assert parsed.time.endswith("Z")


def test_a_line_of_nats_server_is_understood() -> None:
    parsed = parse_line("[17] 2026/11/21 02:52:21.850520 [WRN] Slow consumer", utc=True)
    assert parsed.time == "2026-11-21T02:52:21.850520Z"
    assert (parsed.level, parsed.message) == ("warning", "Slow consumer")


@pytest.mark.parametrize("text", ["Killed", "{not json", "[1] no date here"])
def test_any_other_line_is_its_own_message(text: str) -> None:
    assert parse_line(text).message == text
    assert message_of(text) == text
