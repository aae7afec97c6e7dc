"""Every operation of the API, by resource."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.api.routes import (
    approvals,
    cluster,
    dead_letters,
    events,
    executions,
    operations,
    schedules,
    secrets,
    sql,
    steering,
    streams,
    tasks,
    tenants,
    tokens,
    workflows,
)

if TYPE_CHECKING:
    from flunq.api.contract import ApiRoute


def all_routes() -> list[ApiRoute]:
    """Return the table."""
    modules = (
        workflows,
        executions,
        steering,
        streams,
        events,
        schedules,
        tasks,
        dead_letters,
        sql,
        approvals,
        secrets,
        tokens,
        tenants,
        cluster,
        operations,
    )
    return [route for module in modules for route in module.ROUTES]
