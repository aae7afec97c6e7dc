"""Options of the simulation: one seed again, or more of them than usual."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register ``--seed`` and ``--seeds``."""
    group = parser.getgroup("simulation")
    group.addoption("--seed", type=int, default=None, help="simulate this seed alone")
    group.addoption("--seeds", type=int, default=100, help="how many seeds are simulated")
