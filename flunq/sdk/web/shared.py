"""The HTTP client that all executors of a process share, opened with the first use."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from flunq.sdk.context import TaskContext
    from flunq.sdk.web.client import HttpClient

_KEY = "web.client"


async def http_client(context: TaskContext) -> HttpClient:
    """Return the client of this process; its connections close with the executor pool."""
    kept = context.shared.kept
    if _KEY not in kept:
        # Importing takes too long for the loop.
        module = await asyncio.to_thread(import_module, "flunq.sdk.web.client")
        if _KEY not in kept:
            kept[_KEY] = module.HttpClient(context.settings)
    return cast("HttpClient", kept[_KEY])
