from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import pytest

from flunq.core.capacity import Capacity, ConsumerUse, StreamUse
from flunq.store.views import VIEWS
from tests.support.driver import EPOCH
from tests.support.sql import BROKEN, BUSY, FLAKY, Histories, ask

if TYPE_CHECKING:
    from flunq.store.query_job import Sources

PAGE = Path(__file__).parents[3] / "docs" / "sql.md"
EXAMPLES = dict(
    re.findall(r"^([^\n]+):\n\n```sql\n(.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
)
HOUR = 3_600_000_000
ADA = {"customer": {"name": "Ada"}, "amount": 12}
BOB = {"customer": {"name": "Bob"}, "amount": 99}
CAPACITY = Capacity(
    streams=[
        StreamUse(name="JOURNAL", kind="journal", bytes=90, max_bytes=100),
        StreamUse(name="BLOBS", kind="blobs", bytes=80, max_bytes=100),
        StreamUse(name="EVENTS", kind="events", bytes=10_000),
    ],
    consumers=[
        ConsumerUse(stream="TASKS", name="exec-http", serves="http", pending=10_001),
        ConsumerUse(stream="TASKS", name="exec-grpc", serves="grpc", pending=10_000),
    ],
)
EXPECTED: dict[str, list[dict[str, Any]]] = {
    "Slowest tasks by workflow": [
        {"workflow": "orders", "name": "pay", "runs": 3, "mean_ms": 0.0, "worst_ms": 0.0}
    ],
    "Failure rate per hour": [
        {"hour": "2023-11-14T22:00:00.000000Z", "ended": 2, "faulted": 0, "percent": 0.0},
        {"hour": "2023-11-14T23:00:00.000000Z", "ended": 2, "faulted": 1, "percent": 50.0},
    ],
    "What retrying costs": [
        {
            "workflow": "orders",
            "task": "/do/0/charge",
            "failed_attempts": 3,
            "wasted_ms": 0.0,
            "usual_error": "Busy",
        }
    ],
    "Stuck executions: nothing happened for an hour, and no timer is pending": [
        {
            "id": "stuck",
            "workflow": "orders",
            "last_event": "2023-11-14T22:13:20.000000Z",
            "last_task": "/do/0/charge/try/0/pay",
        }
    ],
    "The 95th percentile by version": [
        {"workflow": "orders", "version": "1.0.0", "runs": 2, "p95_ms": 6_800.0},
        {"workflow": "orders", "version": "1.1.0", "runs": 1, "p95_ms": 5_000.0},
    ],
    "Payloads that hold something, by JSON path": [
        {"id": "b", "customer": "Ada", "amount": 12.0},
    ],
    "What is about to be full, or falls behind": [
        {"name": "JOURNAL", "share": 0.9, "behind": None},
        {"name": "exec-http", "share": None, "behind": 10_001},
    ],
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    made, first, second = Histories(), "shop/orders:1.0.0", "shop/orders:1.1.0"
    made.run("a", FLAKY, input=BOB, workflow=first)
    made.run("b", FLAKY, input=ADA, workflow=first, outcomes=[BUSY, BUSY])
    made.run("c", FLAKY, input=BOB, workflow=second, outcomes=[BUSY], at=EPOCH + HOUR)
    made.run("d", FLAKY, input=BOB, workflow=second, outcomes=[BROKEN], at=EPOCH + HOUR)
    made.run("stuck", FLAKY, input=BOB, workflow=second, finish=False)
    found = made.sources(tmp_path_factory.mktemp("lake"), lake=len(made.commits) // 2, files=2)
    return msgspec.structs.replace(found, capacity=CAPACITY)


@pytest.mark.parametrize("title", EXPECTED)
async def test_an_example_says_what_it_promises(title: str, sources: Sources) -> None:
    assert await ask(sources, EXAMPLES[title]) == EXPECTED[title]


async def test_two_versions_are_compared(sources: Sources) -> None:
    rows = {
        row["name"]: row
        for row in await ask(sources, EXAMPLES["What changed between two versions"])
    }
    assert (rows["pay"]["1.0.0_runs"], rows["pay"]["1.1.0_runs"]) == (4, 4)
    assert rows["pause"]["1.0.0_mean_ms"] == 3_000.0


def test_every_example_is_tried() -> None:
    assert set(EXAMPLES) == {*EXPECTED, "What changed between two versions"}


def test_every_table_is_documented() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE) == list(VIEWS)


@pytest.fixture
def lake(tmp_path: Path) -> tuple[Path, Sources]:
    """Return a folder as a historian leaves it, as far as recipes look at it."""
    histories = Histories()
    histories.run("a", FLAKY)
    sources = histories.sources(tmp_path, lake=len(histories.commits), files=2)
    listed = {"files": [{"path": Path(path).name} for path in sources.files]}
    (tmp_path / "manifest.json").write_text(json.dumps(listed))
    return tmp_path, sources


def recipe(language: str, folder: Path) -> str:
    text = re.findall(rf"## Straight on.*```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    return str(text).replace("~/.local/share/flunq/history/default", str(folder))


@pytest.mark.parametrize("library", ["duckdb", "pandas", "polars"])
def test_the_recipe_reads_the_manifest(lake: tuple[Path, Sources], library: str) -> None:
    pytest.importorskip(library)
    folder, sources = lake
    beginning, *parts = re.split(
        r"^(?=import (?:duckdb|pandas|polars))", recipe("python", folder), flags=re.MULTILINE
    )
    part = next(each for each in parts if each.startswith(f"import {library}"))
    scope: dict[str, Any] = {}
    exec(beginning + part.replace(".show()", ".fetchall()"), scope)
    assert scope["files"] == sources.files


@pytest.mark.jq
def test_the_recipe_for_a_shell_reads_the_manifest(lake: tuple[Path, Sources]) -> None:
    folder, sources = lake
    program = folder / "duckdb"
    program.write_text(
        f"#!{sys.executable}\nimport duckdb, sys\nprint(duckdb.sql(sys.argv[2]).fetchall())\n"
    )
    program.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", recipe("sh", folder)],
        env={**os.environ, "PATH": path},
        capture_output=True,
        check=True,
    )
    query = f"SELECT count(*) FROM read_parquet({sources.files})"
    expected = duckdb.connect().execute(query).fetchall()
    assert done.stdout.decode().strip() == str(expected)
