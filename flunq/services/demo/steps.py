"""The functions of the demo workflow."""

from __future__ import annotations

import asyncio
from typing import Any

from flunq.sdk.executor import TaskError
from flunq.sdk.functions import Step, function

_PRICES = {"apple": 40, "pear": 55, "quince": 190}


@function("demo-price")
async def price(lines: list[dict[str, Any]]) -> dict[str, int]:
    """Add up the lines of an order, in cents."""
    return {"cents": sum(_PRICES[line["sku"]] * line["quantity"] for line in lines)}


@function("demo-charge")
async def charge(cents: int, step: Step) -> dict[str, Any]:
    """Take the money; the provider is down at the first attempt, so that there is a retry."""
    if step.attempt == 1:
        raise TaskError(
            "https://serverlessworkflow.io/spec/1.0.0/errors/communication",
            503,
            "Payment provider unavailable",
            "try again in a moment",
        )
    return {"payment": f"pay-{cents}", "attempt": step.attempt}


@function("demo-pack")
async def pack(sku: str, quantity: int) -> dict[str, Any]:
    """Put one line of the order into the box."""
    await asyncio.sleep(0.2)
    return {"sku": sku, "packed": quantity}
