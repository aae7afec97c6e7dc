"""The list of functions is complete."""

from __future__ import annotations

import pytest

from flunq.cli.commands.expr_functions import functions, name_and_arity
from flunq.core.expressions import compile_expression
from flunq.core.expressions.names import FORBIDDEN, FUNCTIONS


def test_every_function_is_described_once() -> None:
    rows = [row for row in functions() if row["tier"] != "refused"]
    described = [name_and_arity(row["function"]) for row in rows]
    assert len(set(described)) == len(described)
    assert set(described) == {(name, n) for name, arities in FUNCTIONS.items() for n in arities}
    assert all(row["description"] for row in rows)


def test_refused_functions_have_a_reason() -> None:
    refused = {
        row["function"]: row["description"] for row in functions() if row["tier"] == "refused"
    }
    assert refused.items() <= FORBIDDEN.items()
    assert {"env", "$ENV", "input", "halt"} <= refused.keys()


@pytest.mark.parametrize("row", functions(), ids=lambda row: str(row["function"]))
def test_the_tier_is_the_one_that_is_used(row: dict[str, str]) -> None:
    if row["tier"] == "refused":
        return
    name, arity = name_and_arity(row["function"])
    text = f"{name}({'; '.join(['.'] * arity)})" if arity else name
    assert (compile_expression(text).fast is not None) is (row["tier"] == "fast")
