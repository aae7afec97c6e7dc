from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from flunq.log.nats.postponing import postponed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "flunq_test_costly"
_PROGRAM = """
import sys
import flunq.log.nats.stream, flunq.log.nats.database
loaded = [name for name in sys.modules if name.startswith(("aiohttp.", "nats.js"))]
import nats, nats.aio.transport as transport
nats.js.api.Header
if transport.aiohttp is not None:
    transport.aiohttp.ClientSession
sys.exit(bool(loaded))
"""


@pytest.fixture
def costly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    package = tmp_path / NAME
    package.mkdir()
    (package / "__init__.py").write_text("value = 7\n")
    (package / "part.py").write_text("value = 8\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield NAME
    for each in (NAME, f"{NAME}.part"):
        sys.modules.pop(each, None)


def test_a_postponed_module_is_loaded_by_its_first_use(costly: str) -> None:
    with postponed(costly):
        module = import_module(costly)
    assert "value" not in vars(module)
    assert costly not in sys.modules
    assert module.value == 7
    assert vars(import_module(costly))["value"] == 7


def test_part_of_a_postponed_package_can_be_imported(costly: str) -> None:
    with postponed(costly):
        assert import_module(f"{costly}.part").value == 8
    assert vars(import_module(costly))["value"] == 7


def test_a_part_is_loaded_by_its_first_use_through_its_package(costly: str) -> None:
    with postponed(f"{costly}.part"):
        package = import_module(costly)
        import_module(f"{costly}.part")
    assert f"{costly}.part" not in sys.modules
    assert package.part.value == 8
    assert package.part is import_module(f"{costly}.part")


def test_a_module_that_is_there_already_stays(costly: str) -> None:
    module = import_module(costly)
    with postponed(costly):
        assert sys.modules[costly] is module
    assert sys.modules[costly] is module


def test_a_module_that_is_not_installed_stays_missing() -> None:
    with postponed("flunq_test_missing"), pytest.raises(ModuleNotFoundError):
        import_module("flunq_test_missing")


def test_the_connection_does_not_load_what_it_does_not_use() -> None:
    ended = subprocess.run([sys.executable, "-I", "-c", _PROGRAM], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
