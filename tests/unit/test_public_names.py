"""The names that users import from ``flunq``."""

from __future__ import annotations

import subprocess
import sys

import pytest

import flunq


def test_the_public_names_are_these() -> None:
    names = ["Client", "FlunqError", "Run", "__version__", "connect"]
    names += ["connect_blocking", "function"]
    assert flunq.__all__ == names
    assert dir(flunq) == names


def test_every_public_name_resolves() -> None:
    assert [name for name in flunq.__all__ if getattr(flunq, name, None) is None] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = flunq.nonsense


def test_importing_flunq_imports_nothing_else_of_it() -> None:
    code = "import flunq, sys; print([m for m in sys.modules if m.startswith('flunq')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['flunq']"
