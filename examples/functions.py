"""A small shop in Python: what the example workflows call.

Start a cluster with them: ``flunq up --functions examples/functions.py``.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypedDict

import flunq
from flunq.sdk.executor import TaskError
from flunq.sdk.functions import Step

STOCK = {"apple": 100, "pear": 40, "quince": 3, "unicorn": 0}
PRICES = {"apple": Decimal("0.40"), "pear": Decimal("0.55"), "quince": Decimal("1.90")}


class Line(TypedDict):
    """One line of an order."""

    sku: str
    quantity: int


@dataclass(frozen=True)
class Order:
    """What a customer wants."""

    id: str
    customer: str
    lines: list[Line]


@dataclass(frozen=True)
class Receipt:
    """Proof of a payment."""

    payment: str
    amount: Decimal
    currency: str = "EUR"


def _token(prefix: str, key: str) -> str:
    """Derive an id from the idempotency key, so that a repeated call gives the same one."""
    return f"{prefix}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"


@flunq.function("greet")
async def greet(name: str = "world") -> str:
    """Say hello."""
    return f"Hello, {name}!"


@flunq.function("price-order")
async def price_order(order: Order) -> dict[str, Any]:
    """Add up the lines of an order."""
    total = sum(PRICES.get(line["sku"], Decimal(0)) * line["quantity"] for line in order.lines)
    return {"order": order.id, "total": total, "currency": "EUR"}


@flunq.function("reserve-stock")
async def reserve_stock(sku: str, quantity: int, step: Step) -> dict[str, Any]:
    """Put goods aside, or say that there are too few."""
    available = STOCK.get(sku, 0)
    if quantity > available:
        raise TaskError(
            "https://example.com/errors/out-of-stock",
            409,
            "Out of stock",
            f"{quantity} x {sku} wanted, {available} available",
        )
    return {"reservation": _token("res", step.key), "sku": sku, "quantity": quantity}


@flunq.function("release-stock")
async def release_stock(reservation: str) -> dict[str, str]:
    """Give reserved goods back."""
    return {"reservation": reservation, "status": "released"}


@flunq.function("charge-card")
async def charge_card(card: str, amount: Decimal, step: Step, currency: str = "EUR") -> Receipt:
    """Take the money; cards that end in 0002 are declined."""
    if card.endswith("0002"):
        raise TaskError(
            "https://example.com/errors/card-declined", 402, "Card declined", "insufficient funds"
        )
    return Receipt(payment=_token("pay", step.key), amount=amount, currency=currency)


@flunq.function("refund-card")
async def refund_card(payment: str) -> dict[str, str]:
    """Give the money back."""
    return {"payment": payment, "status": "refunded"}


@flunq.function("ship-order")
async def ship_order(order: Order, step: Step) -> dict[str, str]:
    """Hand an order to the carrier."""
    return {"order": order.id, "tracking": _token("trk", step.key)}


@flunq.function("send-email")
async def send_email(to: str, subject: str, body: str = "") -> dict[str, str]:
    """Send an email (this shop only says so)."""
    if "@" not in to:
        raise TaskError("validation", 400, "No such address", f"{to!r} is not an email address")
    return {"to": to, "subject": subject, "status": "sent"}


@flunq.function("checksum")
def checksum(text: str, rounds: int = 1000) -> str:
    """Do some work in a thread: a plain ``def`` never holds up the others."""
    digest = text.encode()
    for _ in range(rounds):
        digest = hashlib.sha256(digest).digest()
    return digest.hex()


@flunq.function("pause")
async def pause(seconds: float) -> float:
    """Take a while."""
    await asyncio.sleep(seconds)
    return seconds
