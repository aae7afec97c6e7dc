"""flunq: durable workflows for people who live in a terminal.

The public names are resolved on first use, so that ``import flunq`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flunq.client import Client, Run, connect
    from flunq.client.blocking import connect as connect_blocking
    from flunq.errors import FlunqError
    from flunq.sdk.functions import function

    __version__: str

__all__ = [
    "Client",
    "FlunqError",
    "Run",
    "__version__",
    "connect",
    "connect_blocking",
    "function",
]

_HOMES = {
    "Client": "flunq.client",
    "FlunqError": "flunq.errors",
    "Run": "flunq.client",
    "connect": "flunq.client",
    "connect_blocking": "flunq.client.blocking",
    "function": "flunq.sdk.functions",
}
_NAMES = {"connect_blocking": "connect"}
"""What a name is called where it is at home."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = import_module("importlib.metadata").version("flunq")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), _NAMES.get(name, name))
    else:
        raise AttributeError(f"module 'flunq' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
