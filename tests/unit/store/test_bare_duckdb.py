from __future__ import annotations

import runpy
import subprocess
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import flunq.store.bare_duckdb

if TYPE_CHECKING:
    import pytest

_PROGRAM = """
import sys
import flunq.store.sandbox, flunq.store.writer, flunq.store.duck
flunq.store.duck.prepare().execute("SELECT current_date, [1.5], {'a': 1}").fetchall()
sys.exit("duckdb" in sys.modules)
"""


def test_a_process_that_reads_history_does_not_load_the_slow_part_of_duckdb() -> None:
    ended = subprocess.run([sys.executable, "-I", "-c", _PROGRAM], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_release_that_keeps_the_database_elsewhere_is_loaded_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = ModuleType("duckdb")
    monkeypatch.setitem(sys.modules, "_duckdb", None)
    monkeypatch.setitem(sys.modules, "duckdb", whole)
    assert runpy.run_path(flunq.store.bare_duckdb.__file__)["duckdb"] is whole
