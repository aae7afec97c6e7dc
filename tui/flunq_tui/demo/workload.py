"""Registers the demonstration's workflows and keeps them busy."""

from __future__ import annotations

import asyncio
import random
from importlib import resources
from typing import TYPE_CHECKING, Any

from flunq.errors import FlunqError
from flunq.services import demo as order

if TYPE_CHECKING:
    from flunq.client import Client

_DOCUMENTS = ("approval", "ledger", "transfer", "heartbeat")
_PAUSE = (0.15, 0.9)
_FIRST = 8


async def run_workload(client: Client) -> None:
    """Start executions for ever, a few of every kind at once to begin with."""
    await register(client)
    draw = random.Random(7)  # noqa: S311 - the same demonstration every time
    number = 0
    while True:
        number += 1
        try:
            await _start_one(client, draw, number)
        except FlunqError:
            # The cluster may be going down already; the monitor tells of the connection.
            await asyncio.sleep(1.0)
        if number > _FIRST:
            await asyncio.sleep(draw.uniform(*_PAUSE))


async def register(client: Client) -> None:
    """Register all documents."""
    await client.apply(order.document())
    folder = resources.files("flunq_tui.demo").joinpath("documents")
    for name in _DOCUMENTS:
        await client.apply(folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8"))


async def _start_one(client: Client, draw: random.Random, number: int) -> None:
    kind = draw.choices(("order", "ledger", "transfer", "approval"), (5, 2, 3, 1))[0]
    await client.start(f"demo/{kind}", _input(kind, draw, number), tags=_tags(draw))


def _input(kind: str, draw: random.Random, number: int) -> dict[str, Any]:
    if kind == "order":
        skus = draw.sample(("apple", "pear", "quince"), 2)
        lines = [{"sku": sku, "quantity": draw.randint(1, 9)} for sku in skus]
        return {"id": f"order-{number}", "lines": lines}
    if kind == "ledger":
        return {"lines": [{"cents": draw.randint(100, 9_999)} for _ in range(draw.randint(3, 8))]}
    if kind == "transfer":
        return {"amount": draw.randint(1, 120), "balance": 100, "to": f"account-{number}"}
    return {"request": f"r-{number}", "amount": draw.randint(1_000, 90_000)}


def _tags(draw: random.Random) -> dict[str, str]:
    return {"region": draw.choice(("eu", "us", "asia"))}
