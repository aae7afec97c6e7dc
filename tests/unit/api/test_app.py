from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from flunq.api.app import ApiRoute, create_app
from flunq.errors import NotFoundError
from flunq.services.control import Health

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


async def get(health: Health, path: str, *routes: ApiRoute) -> httpx.Response:
    transport = httpx.ASGITransport(app=create_app(health, routes), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        return await client.get(path)


def route(failure: Exception) -> ApiRoute:
    async def endpoint(_: Request) -> Response:
        raise failure

    return ApiRoute(method="GET", path="/broken", endpoint=endpoint, summary="Fails.")


async def test_a_process_that_runs_is_alive_even_when_it_cannot_work() -> None:
    health = Health()

    async def down() -> str | None:
        return "nats is gone"

    health.add("nats", down)
    assert (await get(health, "/livez")).status_code == 200
    answer = await get(health, "/readyz")
    assert (answer.status_code, answer.json()["problems"]) == (503, {"nats": "nats is gone"})


async def test_it_is_ready_when_nothing_is_wrong() -> None:
    assert (await get(Health(), "/readyz")).json() == {"status": "ready"}


async def test_metrics_are_in_the_text_format() -> None:
    answer = await get(Health(), "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


async def test_errors_are_problem_details() -> None:
    answer = await get(Health(), "/broken", route(NotFoundError("no such thing", hint="look")))
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["hint"]) == (404, "look")


async def test_an_unknown_path_is_a_problem_too() -> None:
    answer = await get(Health(), "/nowhere")
    assert (answer.status_code, answer.json()["title"]) == (404, "Not Found")


async def test_a_defect_is_told_without_its_traceback() -> None:
    answer = await get(Health(), "/broken", route(ValueError("secret details")))
    assert answer.status_code == 500
    assert "secret" not in answer.text
