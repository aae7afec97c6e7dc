"""The API application: a table of routes over Starlette, problem details for every failure."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from flunq.errors import FlunqError, InternalError
from flunq.telemetry.metrics import registry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.requests import Request

    from flunq.services.control import Health

    Endpoint = Callable[[Request], Awaitable[Response]]

_log = logging.getLogger(__name__)

PROBLEM = "application/problem+json"


class ApiRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of the API."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    endpoint: Endpoint
    summary: str
    public: bool = False
    """Whether it answers without a bearer token."""


def create_app(health: Health, routes: Sequence[ApiRoute] = ()) -> Starlette:
    """Return the application with the routes every control process has, and ``routes``."""
    app = Starlette(
        routes=[
            Route(route.path, route.endpoint, methods=[route.method])
            for route in (*operational_routes(health), *routes)
        ],
        exception_handlers={
            FlunqError: _flunq_error,
            HTTPException: _http_error,
            Exception: _unexpected_error,
        },
    )
    app.state.health = health
    return app


def operational_routes(health: Health) -> list[ApiRoute]:
    """Return what load balancers and monitoring ask for."""

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        problems = await health.problems()
        if problems:
            return json_response({"status": "unavailable", "problems": problems}, status=503)
        return json_response({"status": "ready"})

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(registry.exposition(), media_type="text/plain; version=0.0.4")

    return [
        ApiRoute(
            method="GET", path="/livez", endpoint=livez, summary="The process runs.", public=True
        ),
        ApiRoute(
            method="GET", path="/readyz", endpoint=readyz, summary="It can work.", public=True
        ),
        ApiRoute(
            method="GET", path="/metrics", endpoint=metrics, summary="Its metrics.", public=True
        ),
    ]


def json_response(value: object, *, status: int = 200) -> Response:
    """Return any msgspec-encodable value as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def problem_response(error: FlunqError) -> Response:
    """Return an error as RFC 9457 problem details."""
    return Response(msgspec.json.encode(error.problem()), error.status, media_type=PROBLEM)


async def _flunq_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, FlunqError)
    return problem_response(error)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = {"type": "about:blank", "title": error.detail, "status": error.status_code}
    return Response(
        msgspec.json.encode(problem), error.status_code, headers=error.headers, media_type=PROBLEM
    )


async def _unexpected_error(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem_response(InternalError("the request failed; the server's log says why"))
