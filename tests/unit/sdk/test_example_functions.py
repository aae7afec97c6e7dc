from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flunq.sdk.executor import TaskError
from flunq.sdk.functions import FunctionExecutor, default_functions, load_functions
from flunq.sdk.testing import run_executor

SHOP = Path(__file__).parents[3] / "examples" / "functions.py"
ORDER = {"id": "o1", "customer": "ada", "lines": [{"sku": "apple", "quantity": 3}]}


async def run(name: str, arguments: Any) -> Any:
    load_functions(SHOP)
    return await run_executor(
        FunctionExecutor(default_functions), arguments, kind=f"function:{name}"
    )


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("greet", {}, "Hello, world!"),
        ("greet", {"name": "Ada"}, "Hello, Ada!"),
        ("price-order", ORDER, {"order": "o1", "total": "1.20", "currency": "EUR"}),
        ("release-stock", {"reservation": "r"}, {"reservation": "r", "status": "released"}),
        ("refund-card", {"payment": "p"}, {"payment": "p", "status": "refunded"}),
        (
            "send-email",
            {"to": "a@b", "subject": "s"},
            {"to": "a@b", "subject": "s", "status": "sent"},
        ),
        ("pause", {"seconds": 0}, 0.0),
    ],
)
async def test_the_shop_does_its_work(name: str, arguments: Any, expected: Any) -> None:
    assert await run(name, arguments) == expected


async def test_a_repeated_charge_is_the_same_payment() -> None:
    arguments = {"card": "4242", "amount": "12.50"}
    first, second = await run("charge-card", arguments), await run("charge-card", arguments)
    assert first == second
    assert first["payment"].startswith("pay-")


@pytest.mark.parametrize(
    ("name", "arguments", "status"),
    [
        ("reserve-stock", {"sku": "unicorn", "quantity": 1}, 409),
        ("charge-card", {"card": "4000000000000002", "amount": 5}, 402),
        ("send-email", {"to": "nobody", "subject": "s"}, 400),
    ],
)
async def test_the_shop_refuses(name: str, arguments: Any, status: int) -> None:
    with pytest.raises(TaskError) as caught:
        await run(name, arguments)
    assert caught.value.status == status


async def test_a_checksum_and_a_shipment_are_stable() -> None:
    assert await run("checksum", {"text": "a", "rounds": 1}) == (
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    )
    assert (await run("ship-order", ORDER))["tracking"].startswith("trk-")
