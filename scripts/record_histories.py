"""Record histories of this version: tests/histories/<version>/NAME.jsonl.gz.

Usage: python scripts/record_histories.py [VERSION]

Run it once for each release. Files are added, never changed: what they hold must fold to the same
states in every later version, so a name that exists is left alone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from flunq import __version__  # noqa: E402 - the path comes first
from flunq.core.execution.commands import Cancel, Migrate, Resume, Suspend  # noqa: E402
from flunq.core.execution.trail import Point  # noqa: E402
from flunq.testing.documents import sample  # noqa: E402
from tests.support import histories  # noqa: E402
from tests.support.driver import Driver, document, environment, error  # noqa: E402
from tests.support.returning import restored, retry, trail_of  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flunq.core.execution.effects import Dispatch

DOWN = error("communication", 503)
STEPS = "do: [{a: {call: a}}, {b: {call: b, with: {v: '${ . }'}}}, {c: {call: c}}]"
LISTEN = "listen: {to: %s}, foreach: {item: e, do: [{s: {set: {n: '${ $e }'}}}]}"
GENERATED = 40

PLAIN = {
    "data-flow": """
input: {schema: {document: {type: object}}, from: '${ .order }'}
do:
  - set: {set: {n: '${ .n + 1 }'}, export: {as: '${ $context + {seen: .n} }'}}
  - skipped: {if: '${ false }', set: {n: 0}}
  - choose: {switch: [{big: {when: '${ .n > 3 }', then: last}}, {small: {then: exit}}]}
  - never: {set: {n: 9}}
  - last: {do: [{inner: {set: {n: '${ .n * 2 }'}}}], output: {as: '${ {n} }'}}
output: {as: '${ . + $context }'}
""",
    "calls": """
do:
  - http: {call: http, with: {method: get, endpoint: 'https://example.com/{n}'}}
  - openapi: {call: openapi, with: {document: {endpoint: 'https://example.com'}, operationId: o}}
  - grpc: {call: grpc, with: {proto: {endpoint: 'file:///p'}, service: {name: S, host: h},
          method: M}}
  - tool: {call: mcp, with: {method: tools/call, transport: {http: {endpoint: 'http://a/b'}}}}
  - agent: {call: a2a, with: {method: tasks/get, server: 'http://a/b'}}
  - own: {call: f, with: {n: '${ .n }'}, metadata: {priority: 7, limits: [{key: k, rate: 10/1s}]}}
""",
    "programs": """
do:
  - shell: {run: {shell: {command: 'echo hello', arguments: [a, '${ .n }']}, return: all}}
  - script: {run: {script: {language: python, code: 'print(1)'}}}
  - container: {run: {container: {image: 'alpine:3'}}}
  - apart: {run: {await: false, shell: {command: 'true'}}}
""",
    "loops": """
do:
  - each: {for: {each: item, at: index, in: '${ [1, 2, 3] }'}, while: '${ $index < 2 }',
           do: [{call: {call: f, with: {n: '${ $item }'}}}, {set: {set: {n: '${ $item }'}}}]}
  - none: {for: {in: '${ [] }'}, do: [{x: {call: f}}]}
""",
    "forks": """
do:
  - all: {fork: {branches: [{l: {call: f}}, {r: {do: [{x: {call: f}}, {y: {wait: PT1S}}]}}]}}
  - race: {fork: {compete: true, branches: [{quick: {set: 1}}, {slow: {wait: PT9S}}]}}
  - graph: {fork: {branches: [{last: {call: f, metadata: {needs: [one]}}}, {one: {call: f}}]}}
""",
    "events": f"""
do:
  - tell: {{emit: {{event: {{with: {{source: 'https://x.y', type: t, data: '${{ . }}'}}}}}}}}
  - one: {{listen: {{to: {{one: {{with: {{type: a}}}}}}}}}}
  - all: {{listen: {{to: {{all: [{{with: {{type: a}}}}, {{with: {{data: '${{ .n > 0 }}'}}}}]}}}}}}
  - some: {{{LISTEN % '{any: [{with: {type: a}}], until: "${ length >= 3 }"}'}}}
""",
    "retries": """
do:
  - again:
      try: [{call: {call: flaky}}]
      catch: {as: e, retry: {delay: {seconds: 1}, backoff: {exponential: {}}, jitter: {from: PT0S,
              to: PT0S}, limit: {attempt: {count: 5, duration: PT9S}}}}
  - given-up:
      try: [{call: {call: broken}}]
      catch: {when: '${ $error.status == 503 }', retry: {limit: {attempt: {count: 2}}},
              do: [{set: {set: {why: '${ $error.title }'}}}]}
""",
    "time": """
timeout: {after: PT1H}
do:
  - wait: {wait: {minutes: 5}}
  - late: {try: [{w: {wait: PT9S, timeout: {after: PT1S}}}],
           catch: {errors: {with: {status: 408}}, do: [{s: {set: {late: true}}}]}}
""",
    "raised": """
do:
  - caught: {try: [{r: {raise: {error: {type: 'my:e', status: 418, detail: '${ "no \\(.n)" }'}}}}],
             catch: {as: e, do: [{s: {set: {e: '${ $e }'}}}]}}
  - not: {do: [{r: {raise: {error: {type: 'my:e', status: 400, title: Bad}}}}]}
""",
    "extensions": """
use:
  extensions:
    - log: {extend: all, before: [{b: {call: f, with: {at: '${ $task.reference }'}}}],
            after: [{a: {set: '${ . }'}}]}
do: [{s: {set: {n: 1}}}, {d: {do: [{c: {call: f}}]}}]
""",
    "children": """
do:
  - ask: {run: {workflow: {namespace: n, name: child, version: latest, input: {n: '${ .n }'}}}}
  - apart: {run: {await: false, workflow: {namespace: n, name: child, version: 1.0.0}}}
""",
    "wrong-expression": "do: [{s: {set: {n: '${ .n | error(\"no\") }'}}}]",
    "wrong-input": "input: {schema: {document: {type: string}}}\ndo: [{s: {set: 1}}]",
    "out-of-time": "timeout: {after: PT1S}\ndo: [{w: {wait: PT9S}}]",
}


def outcome(task: Dispatch) -> Any:
    """Do a task."""
    name = task.kind.removeprefix("function:")
    if name == "broken" or (name == "flaky" and task.attempt < 3):
        return DOWN
    return {"n": len(task.task) % 7, "key": task.key}


def play(text: str | dict[str, Any], input: Any = None) -> Driver:
    """Run a document to its end; whoever listens hears."""
    driver = Driver(text, input, outcome).run()
    histories.go_on(driver)
    return driver


def steered() -> Iterator[tuple[str, Callable[[], Driver]]]:
    """Yield what people do to executions."""
    yield from {
        "open": lambda: Driver(STEPS).begin(),
        "waiting": lambda: Driver("do: [{l: {listen: {to: {one: {with: {type: a}}}}}}]").begin(),
        "cancelled": _cancelled,
        "suspended": _suspended,
        "paused-by-errors": _paused,
        "retried": _retried,
        "rewound": _rewound,
        "forked": _forked,
        "migrated": _migrated,
        "with-secrets": _secrets,
        "scheduled": _scheduled,
    }.items()


def _cancelled() -> Driver:
    driver = Driver("do: [{f: {fork: {branches: [{a: {call: a}}, {w: {wait: PT5S}}]}}}]").begin()
    driver.send(Cancel(id="x1", reason="enough"))
    return driver


def _suspended() -> Driver:
    driver = Driver(STEPS, results=outcome).begin()
    driver.send(Suspend(id="x1", reason="look", request="r1"))
    driver.work()
    driver.send(Resume(id="x1", request="r2"))
    driver.work()
    driver.send(Suspend(id="x1"))
    return driver


def _paused() -> Driver:
    value = document(
        "do: [{t: {try: [{c: {call: broken}}], catch: {retry: {limit: {attempt: {count: 9}}}}}}]"
    )
    value["document"] = {**value["document"], "metadata": {"pause": {"after": 3}}}
    driver = Driver(value, None, outcome).begin()
    while not driver.live.suspended:
        driver.work() if driver.queue else driver.fire()
    return driver


def _retried() -> Driver:
    driver = Driver(STEPS, results={"a": 1, "b": [DOWN, 2], "c": 3}).run()
    driver.send(retry(driver, input="edited", reason="fixed", request="r1"))
    return driver.run()


def _rewound() -> Driver:
    driver = Driver(STEPS, results=outcome).begin()
    driver.work()
    driver.work()
    driver.send(Suspend(id="x1"))
    driver.send(restored(driver, "rewound", Point(seq=trail_of(driver).began["/do/1/b"])))
    driver.send(Resume(id="x1"))
    return driver.run()


def _forked() -> Driver:
    source = play(PLAIN["loops"])
    other = Driver(PLAIN["loops"], results=outcome)
    other.now = source.now + 1_000_000
    point, ref = Point(seq=len(source.events) // 2), other.env.workflow.ref
    other.send(restored(source, "forked", point, seq=0, origin="old", workflow=ref))
    return other.run()


def _migrated() -> Driver:
    driver = Driver(STEPS, results=outcome).begin()
    driver.work()
    newer = document(STEPS.replace("call: c", "call: d"))
    newer["document"] = {**newer["document"], "version": "2.0.0"}
    driver.env = environment(newer)
    driver.send(Migrate(id="x1", workflow=driver.env.workflow.ref))
    return driver.run()


def _secrets() -> Driver:
    text = "use: {secrets: [token]}\ndo: [{c: {call: f, with: {t: '${ $secrets.token }'}}}]"
    driver = Driver(text, results=outcome)
    driver.start = msgspec.structs.replace(driver.start, nonce="0123456789abcdef" * 2)
    return driver.run()


def _scheduled() -> Driver:
    driver = Driver("schedule: {every: {minutes: 1}}\n" + STEPS, {}, outcome)
    driver.start = msgspec.structs.replace(driver.start, tags={"team": "a"}, request="r1")
    return driver.run()


def generated(number: int) -> Driver:
    """Run a random document; the same number gives the same history."""
    return play(sample(number).document, {"n": number})


def recordings() -> Iterator[tuple[str, Callable[[], Driver]]]:
    """Yield everything to record by name."""
    for name, text in PLAIN.items():
        yield name, lambda text=text: play(text, {"n": 4, "order": {"n": 4}})  # type: ignore[misc]
    yield from steered()
    for number in range(GENERATED):
        yield f"generated-{number}", lambda number=number: generated(number)  # type: ignore[misc]


def main() -> int:
    """Record what is missing."""
    folder = histories.FOLDER / (sys.argv[1] if len(sys.argv) > 1 else __version__)
    folder.mkdir(parents=True, exist_ok=True)
    for name, run in recordings():
        path = folder / f"{name}.jsonl.gz"
        if not path.exists():
            driver = run()
            histories.write(path, driver)
            print(f"{path.relative_to(ROOT)}: {driver.live.status}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
