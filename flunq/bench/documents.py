"""The workflows that the scenarios run."""

from __future__ import annotations

from typing import Any

import msgspec

from flunq.bench.steps import NAME, NOTED

NAMESPACE = "flunq-bench"


def steps(count: int) -> str:
    """Return a workflow of function calls in a row, each with the output of the one before."""
    tasks = [
        {
            f"step-{number}": {
                "call": NAME,
                "with": {"n": "${ .n }"},
                "output": {"as": "${ {n: (.n + 1)} }"},
            }
        }
        for number in range(count)
    ]
    return _document(f"steps-{count}", tasks)


def fanout(count: int) -> str:
    """Return a workflow that calls a function in parallel branches and joins them."""
    branches = [
        {f"branch-{number}": {"call": NAME, "with": {"n": number}}} for number in range(count)
    ]
    return _document(f"fanout-{count}", [{"spread": {"fork": {"branches": branches}}}])


def requests(count: int, url: str) -> str:
    """Return a workflow that gets something from a web server again and again."""
    get = {"call": "http", "with": {"method": "get", "endpoint": url}}
    port = url.rpartition(":")[2]
    return _document(
        f"requests-{count}-{port}", [{f"get-{number}": get} for number in range(count)]
    )


def noted(count: int, milliseconds: int) -> str:
    """Return a workflow of steps that take a while and leave a line in a file each."""
    arguments = {"diary": "${ $workflow.input.diary }", "milliseconds": milliseconds}
    step = {"call": NOTED, "with": arguments}
    tasks = [{f"step-{number}": step} for number in range(count)]
    return _document(f"noted-{count}-{milliseconds}", tasks)


def carrying(count: int) -> str:
    """Return a workflow whose steps hand on the whole input, and give the text in it back."""
    step = {"call": NAME, "with": {"n": "${ .n }"}, "output": {"as": "${ $input }"}}
    tasks = [{f"step-{number}": step} for number in range(count)]
    return _document(f"carrying-{count}", tasks)


def waiting(milliseconds: int) -> str:
    """Return a workflow that waits once."""
    wait = {"rest": {"wait": {"milliseconds": milliseconds}}}
    return _document(f"waiting-{milliseconds}", [wait])


def name_of(text: str) -> str:
    """Return the name under which a document of this module is registered."""
    return f"{NAMESPACE}/{msgspec.json.decode(text)['document']['name']}"


def _document(name: str, tasks: list[dict[str, Any]]) -> str:
    head = {"dsl": "1.0.3", "namespace": NAMESPACE, "name": name, "version": "1.0.0"}
    return msgspec.json.encode({"document": head, "do": tasks}).decode()
