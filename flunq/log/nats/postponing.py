"""Imports that wait until something is used."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def postponed(name: str) -> Iterator[None]:
    """Let whoever imports a module within the block load it when something of it is used."""
    package, _, child = name.rpartition(".")
    # To look for a part of a package would import the package.
    if name in sys.modules or (not package and find_spec(name) is None):
        yield
        return
    stand_in = sys.modules[name] = _Postponed(name)
    try:
        yield
    finally:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
            if package in sys.modules:
                setattr(sys.modules[package], child, stand_in)


class _Postponed(ModuleType):
    """Stands in for a module until something of it is wanted."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)
