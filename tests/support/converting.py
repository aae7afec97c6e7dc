"""Converts documents of version 0.8 and runs what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from flunq.core.converting import Conversion, convert_document
from flunq.core.execution.commands import Deliver, Failure
from flunq.core.reading import check_value
from tests.support.driver import Driver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flunq.core.execution.effects import Dispatch

HEADER = {"id": "sample", "name": "Sample", "version": "1.0", "specVersion": "0.8"}


def convert(text: str, **included: Any) -> Conversion:
    """Convert a body in YAML under the usual header; what comes out is always a valid document."""
    document = yaml.safe_dump({**HEADER, **yaml.safe_load(text)}, sort_keys=False)
    converted = convert_document(document, name="old.yaml", included=included)
    assert check_value(converted.document) == []
    return converted


def cleanly(text: str) -> dict[str, Any]:
    """Convert a body of which nothing may be left out; return the new document."""
    converted = convert(text)
    assert converted.problems == ()
    return converted.document


def rules(text: str, **included: Any) -> list[str]:
    """Return the rules that a body breaks."""
    return [problem.rule for problem in convert(text, **included).problems]


class Services:
    """Answers calls by operation, and remembers what it was asked."""

    def __init__(self, results: Mapping[str, Any]) -> None:
        self.results = {name: self._queue(result) for name, result in results.items()}
        self.asked: list[tuple[str, Any]] = []

    def __call__(self, task: Dispatch) -> Any:
        """Answer one call."""
        members = task.arguments if isinstance(task.arguments, dict) else {}
        name = members.get("operationId") or task.kind.removeprefix("function:")
        arguments = members.get("parameters") if "operationId" in members else task.arguments
        self.asked.append((name, arguments))
        queue = self.results[name]
        result = queue.pop(0) if len(queue) > 1 else queue[0]
        return result(arguments) if callable(result) else result

    def _queue(self, result: Any) -> list[Any]:
        return result.results if isinstance(result, InTurn) else [result]


class InTurn:
    """Results for one call after the other; the last one stays."""

    def __init__(self, *results: Any | Callable[[Any], Any] | Failure) -> None:
        self.results = list(results)


def run(text: str, input: Any = None, /, **results: Any) -> Driver:
    """Convert and run; keyword arguments are the results of operations."""
    return begin(text, input, **results).run()


def begin(text: str, input: Any = None, /, **results: Any) -> Driver:
    """Convert and start."""
    services = Services(results)
    driver = Driver(convert(text).document, {} if input is None else input, services).begin()
    while driver.queue:
        driver.work()
    return driver


def hear(driver: Driver, kind: str, data: Any = None, /, **attributes: Any) -> None:
    """Let an event come to whoever listens, and the work that follows be done."""
    event = {
        "specversion": "1.0", "id": f"{kind}-{len(driver.events)}", "source": "there",
        "type": kind, "data": data, **attributes,
    }  # fmt: skip
    for listener in list(driver.live.listeners):
        driver.send(Deliver(id="x1", listener=listener, event=event))
    while driver.queue:
        driver.work()


FUNCTIONS = """
functions:
- {name: charge, operation: "http://pay/api.json#charge"}
- {name: refund, operation: "http://pay/api.json#refund"}
- {name: notify, operation: "http://mail/api.json#notify"}
"""
