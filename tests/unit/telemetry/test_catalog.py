"""The engine's metrics keep the conventions, and those of many processes make one exposition."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flunq.telemetry import catalog
from flunq.telemetry.merging import merged
from flunq.telemetry.metrics import Registry, registry

DOCS = Path(__file__).parents[3] / "docs" / "observability.md"


@pytest.mark.parametrize("name", catalog.SPECS)
def test_names_keep_the_conventions(name: str) -> None:
    spec = catalog.SPECS[name]
    assert re.fullmatch(r"(flunq|process)_[a-z_]+", name)
    assert (spec.kind == "counter") == name.endswith("_total")
    if spec.kind == "histogram":
        assert name.endswith(("_seconds", "_bytes"))
        assert list(spec.buckets) == sorted(set(spec.buckets))
    assert spec.help.endswith(".")
    assert spec.help.count("\n") == 0


def test_the_table_of_the_docs_is_that_of_the_code() -> None:
    assert catalog.table() in DOCS.read_text()


def test_the_oldest_that_waits_is_told_until_it_begins() -> None:
    meter = catalog.WaitMeter("waiting")
    for task in ("a", "b"):
        meter.produced(task)
    before = catalog.histogram("flunq_task_wait_seconds", "waiting").count
    assert 'flunq_task_queue_depth{tenant="waiting"} 2' in registry.exposition()
    meter.consumed("a")
    meter.forget("b")
    meter.consumed("b")
    assert catalog.histogram("flunq_task_wait_seconds", "waiting").count == before + 1
    assert meter.oldest() == 0.0


def test_many_processes_make_one_exposition() -> None:
    texts = {}
    for node, value in (("one", 1), ('t"wo', 2)):
        own = Registry()
        own.counter("flunq_x_total", "X.", tenant="a b").inc(value)
        own.histogram("flunq_y_seconds", "Y.", (1.0,)).observe(0.5)
        own.gauge("flunq_z", "Z.").set(value)
        texts[node] = own.exposition()
    lines = merged(texts).splitlines()
    assert lines.count("# TYPE flunq_x_total counter") == 1
    assert 'flunq_x_total{node="one",tenant="a b"} 1' in lines
    assert 'flunq_x_total{node="t\\"wo",tenant="a b"} 2' in lines
    assert lines.index("# TYPE flunq_y_seconds histogram") < lines.index(
        'flunq_y_seconds_bucket{node="one",le="+Inf"} 1'
    )
    assert lines[-1] == 'flunq_z{node="t\\"wo"} 2'
