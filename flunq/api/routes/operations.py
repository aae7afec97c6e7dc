"""What load balancers, monitoring and people with a browser ask for, without a token."""

from __future__ import annotations

from typing import Any

from flunq.api.contract import JSON, ApiRoute, Call, Reply, json_reply

TAG = "operations"
_METRICS = "text/plain; version=0.0.4"


async def livez(call: Call) -> Reply:
    """Say that the process runs."""
    del call
    return Reply(body=b"ok\n", media="text/plain; charset=utf-8")


async def readyz(call: Call) -> Reply:
    """Say whether it can work."""
    problems = await call.services.health.problems()
    if problems:
        return json_reply({"status": "unavailable", "problems": problems}, status=503)
    return json_reply({"status": "ready"})


async def metrics(call: Call) -> Reply:
    """Return the metrics of this process and of all nodes."""
    return Reply(body=(await call.services.metrics.exposition()).encode(), media=_METRICS)


async def openapi(call: Call) -> Reply:
    """Return the description of the API."""
    del call
    from flunq.api.openapi import document_bytes  # made when it is first asked for

    return Reply(body=document_bytes())


async def docs(call: Call) -> Reply:
    """Return the page that shows the API."""
    del call
    from flunq.api.docs import page  # read when it is first asked for

    return page()


ROUTES = (
    ApiRoute(
        method="GET",
        path="/livez",
        endpoint=livez,
        name="livez",
        role=None,
        media=("text/plain", JSON),
        summary="The process runs.",
    ),
    ApiRoute(
        method="GET",
        path="/readyz",
        endpoint=readyz,
        name="readyz",
        role=None,
        answer=dict[str, Any],
        also=(503,),
        summary="It can work.",
    ),
    ApiRoute(
        method="GET",
        path="/metrics",
        endpoint=metrics,
        name="metrics",
        role=None,
        media=("text/plain", "application/openmetrics-text"),
        summary="The metrics of the process and of the nodes, for Prometheus.",
    ),
    ApiRoute(
        method="GET",
        path="/openapi.json",
        endpoint=openapi,
        name="openapi",
        role=None,
        answer=dict[str, Any],
        summary="This document.",
    ),
    ApiRoute(
        method="GET",
        path="/docs",
        endpoint=docs,
        name="docs",
        role=None,
        media=("text/html",),
        summary="The API for people.",
    ),
)
