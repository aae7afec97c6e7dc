"""What runs beside the API of a control process: each connected, and connected again when lost.

What a role needs is imported when it begins: it would hold the first answer of the API up.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from flunq.services.lasting import kept_up
from flunq.telemetry.otlp import trace_settings

if TYPE_CHECKING:
    import asyncio

    from flunq.core.tenancy import TenantRecord
    from flunq.services.control import ControlSettings
    from flunq.services.lasting import Role

DESKS = "desks"
"""Those that only answer share a connection: each costs the broker memory and pings."""


def control_roles(settings: ControlSettings) -> list[Role]:
    """Return what runs beside the API."""
    tenants = [tenants_role(settings)] if "api" in settings.roles else []
    return [*roles_of_one_tenant(settings), *tenants]


def roles_of_one_tenant(settings: ControlSettings) -> list[Role]:
    """Return what runs for the tenant of the settings."""
    roles: list[Role] = []
    if "api" in settings.roles:
        roles += [*traces_roles(settings), alerts_role(settings)]
        roles += [letters_role(settings), replaying_role(settings), flow_role(settings)]
        roles += [inputs_role(settings)]
    if "historian" in settings.roles and settings.data_dir is not None:
        folder = settings.data_dir
        roles += [historian_role(settings, folder), queries_role(settings, folder)]
    return roles


def tenants_role(settings: ControlSettings) -> Role:
    """Return what keeps the tenants, and works for all but the first of them."""

    def roles_of(record: TenantRecord) -> list[Role]:
        theirs = msgspec.structs.replace(settings, tenant=record.name, partitions=record.partitions)
        return roles_of_one_tenant(theirs)

    async def run(stop: asyncio.Event) -> None:
        from flunq.core.tenancy import TenantRecord
        from flunq.services.tenants.service import run_tenants

        home = TenantRecord(
            name=settings.tenant, partitions=settings.partitions, replicas=settings.replicas
        )
        connection = settings.connection("tenants")
        work = partial(
            run_tenants, home, connection, data_dir=settings.data_dir, roles_of=roles_of, stop=stop
        )
        await kept_up("tending the tenants", work, stop)

    return run


def historian_role(settings: ControlSettings, data_dir: str) -> Role:
    """Return what keeps the archive."""

    async def run(stop: asyncio.Event) -> None:
        from flunq.services.historian.service import run_historian
        from flunq.services.historian.settings import HistorianSettings

        wanted = HistorianSettings(tenant=settings.tenant, data_dir=data_dir, pace=settings.pace)
        work = partial(
            run_historian,
            wanted,
            settings.connection("historian"),
            partitions=settings.partitions,
            stop=stop,
        )
        await kept_up("the historian", work, stop)

    return run


def letters_role(settings: ControlSettings) -> Role:
    """Return what answers about dead letters."""

    async def run(stop: asyncio.Event) -> None:
        from flunq.services.letters.service import run_letters

        work = partial(run_letters, settings.connection(DESKS), stop)
        await kept_up("answering about dead letters", work, stop)

    return run


def inputs_role(settings: ControlSettings) -> Role:
    """Return what stores inputs for owners that do not answer."""

    async def run(stop: asyncio.Event) -> None:
        from flunq.services.inputs import run_inputs

        work = partial(run_inputs, settings.connection(DESKS), settings.partitions, stop)
        await kept_up("storing inputs", work, stop)

    return run


def flow_role(settings: ControlSettings) -> Role:
    """Return what answers about flow control."""

    async def run(stop: asyncio.Event) -> None:
        from flunq.services.flow.service import run_flow

        work = partial(run_flow, settings.connection(DESKS), stop)
        await kept_up("answering about flow control", work, stop)

    return run


def alerts_role(settings: ControlSettings) -> Role:
    """Return what answers about alerts, and watches while there are rules."""

    async def run(stop: asyncio.Event) -> None:
        from flunq.services.alerts.service import AlertSettings, run_alerts

        wanted = AlertSettings(
            profile=settings.profile,
            secrets_key=settings.secrets_key,
            folder=settings.machine_folder,
        )
        work = partial(run_alerts, wanted, settings.connection(DESKS), stop)
        await kept_up("watching for alerts", work, stop)

    return run


def traces_roles(settings: ControlSettings) -> list[Role]:
    """Return what sends traces to a collector, if the environment names one."""
    wanted = trace_settings(os.environ)
    if wanted is None:
        return []

    async def run(stop: asyncio.Event) -> None:
        from flunq.services.tracing.service import run_tracing

        folder = settings.machine_folder
        work = partial(run_tracing, wanted, settings.connection("traces"), folder, stop)
        await kept_up("sending traces", work, stop)

    return [run]


def replaying_role(settings: ControlSettings) -> Role:
    """Return what goes back into histories."""

    async def run(stop: asyncio.Event) -> None:
        from flunq.services.replaying.service import run_replaying

        work = partial(run_replaying, settings.connection(DESKS), stop)
        await kept_up("going back into histories", work, stop)

    return run


def queries_role(settings: ControlSettings, data_dir: str) -> Role:
    """Return what answers the queries of machines that do not have the archive."""

    async def run(stop: asyncio.Event) -> None:
        from flunq.services.queries import run_queries

        work = partial(run_queries, settings.connection(DESKS), data_dir, stop)
        await kept_up("answering queries", work, stop)

    return run
