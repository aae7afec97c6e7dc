"""The workflow that ``flunq up --demo`` runs: an order with a flaky payment provider."""

from __future__ import annotations

from importlib import resources

STEPS = "flunq.services.demo.steps"
"""The module with the functions that the workflow calls."""
WORKFLOW = "demo/order"


def document() -> str:
    """Return the workflow document."""
    return resources.files(__name__).joinpath("order.yaml").read_text(encoding="utf-8")
