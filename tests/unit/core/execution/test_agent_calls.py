"""``call: a2a`` and ``call: mcp``: what their executors are given."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.driver import Driver

POLICY = {"bearer": {"token": "t"}}


def given(call: str, arguments: Any, input: Any = None) -> Any:
    document = {
        "document": {"dsl": "1.0.3", "namespace": "test", "name": "sample", "version": "1.0.0"},
        "use": {"authentications": {"login": POLICY}},
        "do": [{"ask": {"call": call, "with": arguments}}],
    }
    driver = Driver(document, input).begin()
    assert driver.dispatched[0].kind == call
    return driver.dispatched[0].arguments


@pytest.mark.parametrize("parameters", [".ask", "${ .ask }", {"id": "${ .ask.id }"}])
@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("a2a", {"method": "tasks/get", "server": "http://a/b"}),
        ("mcp", {"method": "tools/call", "transport": {"http": {"endpoint": "http://a/b"}}}),
    ],
)
def test_parameters_are_an_object_or_an_expression(
    call: str, arguments: Any, parameters: Any
) -> None:
    found = given(call, {**arguments, "parameters": parameters}, {"ask": {"id": 7}})
    assert found == {**arguments, "parameters": {"id": 7}}


@pytest.mark.parametrize(
    ("call", "path"),
    [
        ("a2a", ("server",)),
        ("a2a", ("agentCard", "endpoint")),
        ("mcp", ("transport", "http", "endpoint")),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_addresses_are_templates_with_policies_by_name(
    call: str, path: tuple[str, ...], named: bool
) -> None:
    def inside(value: Any) -> Any:
        for name in reversed(path):
            value = {name: value}
        return value

    uri: Any = "http://{host}/rpc"
    wanted: Any = "http://x.y/rpc"
    if named:
        uri = {"uri": uri, "authentication": {"use": "login"}}
        wanted = {"uri": wanted, "authentication": POLICY}
    found = given(call, {"method": "m", **inside(uri)}, {"host": "x.y"})
    assert found == {"method": "m", **inside(wanted)}


def test_a_server_beside_a_card_does_not_count() -> None:
    arguments = {"method": "m", "agentCard": {"endpoint": "http://a/{c}"}, "server": "http://{s}"}
    assert given("a2a", arguments, {"c": "card"})["agentCard"] == {"endpoint": "http://a/card"}
