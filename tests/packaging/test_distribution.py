"""What is built and what is installed from it."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"flunq", "flunq_tui", "flunq_plugins"}
IMPORT_EVERYTHING = """
import importlib, json, pkgutil
names = ["flunq", "flunq_tui", "flunq_plugins"]
for package in map(importlib.import_module, names[:3]):
    found = pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    names += [module.name for module in found if not module.name.endswith("__main__")]
modules = list(map(importlib.import_module, names))
print(json.dumps(sorted({module.__file__ for module in modules})))
"""
LOAD_ENTRY_POINTS = """
from importlib.metadata import distribution
for point in distribution("flunq").entry_points:
    print(point.group, point.name, point.load().__module__)
"""

pytestmark = pytest.mark.timeout(240)


def _run(*command: str | Path, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "hatchling", "build", "-d", folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel, which borrows the dependencies of this one."""
    venv = tmp_path_factory.mktemp("installed")
    _run(sys.executable, "-m", "venv", "--without-pip", venv)
    pip = (sys.executable, "-m", "pip", "--python", venv / "bin" / "python")
    _run(*pip, "install", "-q", "--no-deps", "--no-index", wheel)
    site = next(venv.glob("lib/python*/site-packages"))
    # A path in a .pth file is only searched; the editable install beside it is not followed.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv


def test_the_wheel_holds_exactly_three_packages(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    metadata = {name for name in names if name.endswith(".dist-info")}
    assert names - metadata == PACKAGES
    assert len(metadata) == 1


def test_the_wheel_carries_the_schemas_of_the_repository(wheel: Path) -> None:
    prefix = "flunq/_schemas/"
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    files = (path for path in (ROOT / "schemas").rglob("*") if path.is_file())
    assert packed == {path.relative_to(ROOT / "schemas").as_posix() for path in files}
    assert packed


def test_the_wheel_is_typed_and_carries_no_tool_settings(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "flunq/py.typed" in names
    assert [name for name in names if name.endswith(("ruff.toml", ".pyc"))] == []


def test_the_sdist_builds_the_same_wheel(built: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    folder = next(tmp_path.iterdir())
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "out", cwd=folder)
    again = zipfile.ZipFile(next((folder / "out").glob("*.whl")))
    assert sorted(again.namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


def test_the_command_runs_isolated(installed: Path, tmp_path: Path) -> None:
    expected = f"flunq {version('flunq')}\n"
    python = installed / "bin" / "python"
    assert _run(python, "-I", "-m", "flunq", "--version", cwd=tmp_path) == expected
    assert _run(installed / "bin" / "flunq", "--version", cwd=tmp_path) == expected


def test_every_module_imports_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    python = installed / "bin" / "python"
    files = json.loads(_run(python, "-I", "-c", IMPORT_EVERYTHING, cwd=tmp_path))
    assert len(files) > 30
    assert [file for file in files if not file.startswith(str(installed))] == []


def test_every_entry_point_loads(installed: Path, tmp_path: Path) -> None:
    python = installed / "bin" / "python"
    loaded = _run(python, "-I", "-c", LOAD_ENTRY_POINTS, cwd=tmp_path).splitlines()
    assert "console_scripts flunq flunq.__main__" in loaded
    assert any(line.startswith("flunq.executors http flunq_plugins.") for line in loaded)


def test_the_installed_command_reads_the_packed_schemas(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("do: []\n")
    command = (installed / "bin" / "flunq", "validate", "bad.yaml", "-o", "json")
    done = subprocess.run(
        list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["status"] == "rejected"
