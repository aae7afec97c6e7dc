"""Whatever fits the OpenAPI document, and much that does not, never brings the server to a 5xx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flunq.api.routes import all_routes
from tests.support.api import api_client
from tests.support.cluster import HELLO, running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from flunq.api.contract import ApiRoute
    from tests.support.cli import Flunq

PATIENT = {"deadline": None, "suppress_health_check": list(HealthCheck)}
"""Calls that wait or stream are bounded by the test of their own kind."""
QUICK = [
    route for route in all_routes() if route.path not in ("/v1/events/stream", "/v1/sql", "/readyz")
]
WORDS = st.sampled_from(["a", "hello", "tests", "key-1", "1.0.0", "..", "%00", "\N{OCTOPUS}"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    with running_cluster(tmp_path_factory.mktemp("schema")) as flunq:
        yield flunq


@pytest.fixture(scope="module")
def api(cluster: Flunq) -> Iterator[httpx.Client]:
    with api_client(cluster) as client:
        media = {"content-type": "application/yaml"}
        assert client.post("/v1/workflows", content=HELLO, headers=media).status_code == 201
        yield client


def members_of(route: ApiRoute) -> list[str]:
    """Return the names that a body of this route may have."""
    return list(getattr(route.body, "__struct_fields__", ())) or ["id", "source", "type"]


@pytest.mark.parametrize("route", QUICK, ids=lambda route: route.name)
@given(data=st.data())
@settings(max_examples=15, **PATIENT)  # type: ignore[arg-type]
def test_no_request_is_a_defect(api: httpx.Client, route: ApiRoute, data: st.DataObject) -> None:
    path = "/".join(
        data.draw(WORDS) if part.startswith("{") else part for part in route.path.split("/")
    )
    query = data.draw(st.dictionaries(st.sampled_from(["limit", "cursor", "x"]), WORDS, max_size=2))
    known = st.dictionaries(st.sampled_from(members_of(route)), VALUES | WORDS, max_size=4)
    body = data.draw(known | VALUES) if route.body is not None else None
    if isinstance(body, dict) and "wait" in body:
        body["wait"] = "1ms"
    media = data.draw(st.sampled_from([*route.accepts, "text/none"]))
    headers = {"content-type": media} if body is not None else {}
    answer = api.request(route.method, path, params=query, json=body, headers=headers)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code


@given(st.binary(max_size=200))
@settings(max_examples=60, **PATIENT)  # type: ignore[arg-type]
def test_no_bytes_are_a_defect(api: httpx.Client, body: bytes) -> None:
    for media in ("application/json", "application/cloudevents-batch+json"):
        answer = api.post("/v1/events", content=body, headers={"content-type": media})
        assert 400 <= answer.status_code < 500
