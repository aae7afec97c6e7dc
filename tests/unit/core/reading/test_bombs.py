"""Hostile documents cost neither time nor memory."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MEGABYTE = 1024 * 1024
BUDGET = 300 * MEGABYTE
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
)
HEADER = "document: {dsl: 1.0.3, namespace: a, name: b, version: 1.0.0}\n"
BOMBS: dict[str, tuple[str, str]] = {
    "billion laughs": (LAUGHS, "too-many-values"),
    "repeated long text": (
        f"x: &a {'y' * 3 * MEGABYTE}\ndo: [{', '.join(['{t: {wait: *a}}'] * 5000)}]",
        "too-many-values",
    ),
    "cycle": ("a: &a {b: [*a]}", "alias-cycle"),
    "flow nesting": ("[" * 3 * MEGABYTE, "too-deep"),
    "block nesting": ("- " * MEGABYTE, "too-deep"),
    "mapping nesting": ("{a: " * MEGABYTE, "too-deep"),
    "nesting by aliases": (
        "a0: &a0 []\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 3000)),
        "too-deep",
    ),
    "key nesting": ("? " * MEGABYTE, "complex-key"),
    "many values": ("- a\n" * MEGABYTE, "too-many-values"),
    "many keys": ("".join(f"k{i}: \n" for i in range(300_000)), "too-many-values"),
    "repeated keys": ("a: 1\n" * 800_000, "duplicate-key"),
    "tag directives": ("".join(f"%TAG !{i}! x\n" for i in range(200_000)), "unknown-tag"),
    "documents": ("---\n" * MEGABYTE, "several-documents"),
    "long number": ("9" * 3 * MEGABYTE, "bad-number"),
    "long key": (f"? {'k' * 3 * MEGABYTE}\n: 1", "key-too-long"),
    "too large": ("#" * 5 * MEGABYTE, "too-large"),
    "wrong everywhere": (
        HEADER + "do:\n" + "- t: {wait: 5, set: 1, x: 2}\n" * 12_000,
        "conflicting-properties",
    ),
    "unknown properties": (
        HEADER + "do:\n- t:\n" + "".join(f"    wiat{i}: 1\n" for i in range(60_000)),
        "unknown-property",
    ),
    "deep strategies": (
        HEADER
        + "do:\n- t: {listen: {to: {any: [], until: "
        + "{any: [], until: " * 90
        + f"'{'y' * MEGABYTE}'"
        + "}" * 93,
        "unknown-property",
    ),
    "deep tasks": (
        HEADER + "do: " + "[{a: {do: " * 32 + "[{a: {wait: 5}}]" + "}}]" * 32,
        "wrong-value",
    ),
    "unknown targets": (
        HEADER
        + "do:\n"
        + "".join(f"- task{i}: {{set: {{a: 1}}, then: tusk{i}}}\n" for i in range(12_000)),
        "unknown-then-target",
    ),
}
READER = """
import json, resource, sys, time
from flunq.core.reading import check_document
check_document("a: [", name="warm-up")
check_document("do: {a: 1}", name="warm-up")
text = sys.stdin.read()
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
limit = used + int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
start = time.process_time()
rules = [problem.rule for problem in check_document(text, name="bomb.yaml")]
print(json.dumps({"rules": sorted(set(rules)), "seconds": time.process_time() - start}))
"""


@pytest.mark.linux
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_within_its_budget(name: str) -> None:
    text, rule = BOMBS[name]
    done = subprocess.run(
        [sys.executable, "-c", READER, str(BUDGET)],
        input=text, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    outcome = json.loads(done.stdout)
    assert rule in outcome["rules"]
    assert outcome["seconds"] < 10  # the aim is one second; slow machines run this too
