from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flunq.api.openapi import document, document_bytes
from flunq.api.routes import all_routes
from tests.support.api import calling, services

CHECKED_IN = Path(__file__).parents[3] / "docs" / "openapi.json"
DOCUMENT = document(all_routes())


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [found for member in value.values() for found in references(member)]
    if isinstance(value, list):
        return [found for member in value for found in references(member)]
    return []


def test_the_document_that_is_checked_in_is_current() -> None:
    assert CHECKED_IN.read_bytes() == document_bytes(), "run: just generate"


def test_every_reference_leads_somewhere() -> None:
    for reference in references(DOCUMENT):
        found: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            assert part in found, reference
            found = found[part]


@pytest.mark.parametrize("route", all_routes(), ids=lambda route: route.name)
def test_every_operation_says_what_it_takes_and_gives(route: Any) -> None:
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    assert operation["summary"].endswith(".")
    assert str(route.status) in operation["responses"]
    assert ("requestBody" in operation) is (route.body is not None)
    assert (operation.get("security") == []) is (route.role is None)
    named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
    assert named == {part[1:-1] for part in route.path.split("/") if part.startswith("{")}


def test_only_what_load_balancers_and_readers_need_is_open() -> None:
    public = {route.path for route in all_routes() if route.role is None}
    assert public == {
        "/livez",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/approvals/{link}",
    }


def test_nothing_that_deletes_is_open_to_operators() -> None:
    assert {route.role for route in all_routes() if route.method == "DELETE"} == {"admin"}


async def test_the_server_shows_the_same_document() -> None:
    async with calling(services(), token="") as client:
        assert (await client.get("/openapi.json")).json() == json.loads(document_bytes())


async def test_the_page_for_people_takes_nothing_from_elsewhere() -> None:
    async with calling(services(), token="") as client:
        answer = await client.get("/docs")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http://" not in answer.text and "https://" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"
