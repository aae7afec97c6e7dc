"""``flunq serve``: one service of the cluster in this process."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli.options import BodyLimitOption, CorsOption  # noqa: TC001 - Typer reads them
from flunq.cli.session import settings
from flunq.errors import RejectedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from flunq.services.base import Lifecycle
    from flunq.services.control import ControlSettings

CONFIG_VARIABLE = "FLUNQ_NODE_CONFIG"
SECRETS_KEY_VARIABLE = "FLUNQ_SECRETS_KEY"
CLUSTER_KEY_VARIABLE = "FLUNQ_TOKEN_KEY"
SHORTEST_CLUSTER_KEY = 32
"""Characters; whoever has a token could find a shorter one by trying."""


class ServiceRole(StrEnum):
    """What a process can be."""

    NODE = "node"
    WORKER = "worker"
    EXECUTOR = "executor"
    TIMER = "timer"
    HISTORIAN = "historian"
    API = "api"
    CONTROL = "control"


_ROLES = {
    ServiceRole.NODE: ("worker", "executor"),
    ServiceRole.WORKER: ("worker",),
    ServiceRole.EXECUTOR: ("executor",),
    ServiceRole.TIMER: ("timer",),
    ServiceRole.HISTORIAN: ("historian",),
    ServiceRole.API: ("api",),
    ServiceRole.CONTROL: ("api", "timer", "historian"),
}


_Role = Annotated[ServiceRole, typer.Argument(metavar="ROLE", help="The service to be.")]
_Nats = Annotated[
    str | None,
    typer.Option("--nats", metavar="URL", help="Address of NATS.", rich_help_panel="Connection"),
]
_Functions = Annotated[
    list[str] | None,
    typer.Option("--functions", metavar="MODULE|FILE", help="Python functions; repeatable."),
]
_Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Name of this process among the nodes.")
]
_Capacity = Annotated[
    int | None, typer.Option("--capacity", min=1, metavar="N", help="Tasks that it runs at once.")
]
_Programs = Annotated[
    bool | None,
    typer.Option(
        "--programs/--no-programs",
        help="Whether workflows may run local programs [as FLUNQ_EGRESS].",
    ),
]
_Host = Annotated[str, typer.Option("--host", metavar="HOST", help="Address the API listens on.")]
_Port = Annotated[
    int | None,
    typer.Option("--port", "--api-port", metavar="PORT", help="Port of the API; 0 for a free one."),
]
_Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of the archive, for the historian."),
]
_Certificate = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert", metavar="FILE", help="Certificate of the API.", rich_help_panel="Connection"
    ),
]
_PrivateKey = Annotated[
    Path | None,
    typer.Option(
        "--tls-key", metavar="FILE", help="Its private key.", rich_help_panel="Connection"
    ),
]
_Authority = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca",
        metavar="FILE",
        help="Authority that NATS is checked against.",
        rich_help_panel="Connection",
    ),
]


def command(
    role: _Role,
    nats: _Nats = None,
    functions: _Functions = None,
    name: _Name = None,
    capacity: _Capacity = None,
    programs: _Programs = None,
    host: _Host = "127.0.0.1",
    port: _Port = None,
    data: _Data = None,
    tls_cert: _Certificate = None,
    tls_key: _PrivateKey = None,
    tls_ca: _Authority = None,
    cors_origin: CorsOption = None,
    body_limit: BodyLimitOption = None,
) -> int:
    """Run one service of the cluster in this process, until SIGTERM or Ctrl-C.

    $ flunq serve node --nats nats://nats.internal:4222 --functions shop.steps

    $ flunq serve api --host 0.0.0.0 --port 8080

    $ flunq serve historian --data /var/lib/flunq

    Roles: node (worker and executor), worker, executor, timer, historian, api, control (api,
    timer and historian). Of several historians one works and the others stand by; they need the
    same folder. FLUNQ_SECRETS_KEY opens the vault, for nodes and control alike: 32 bytes in base64.
    """
    given = _given_settings()
    if given is None:
        given = _own_settings(
            role,
            nats=nats,
            functions=functions,
            name=name,
            capacity=capacity,
            programs=programs,
            host=host,
            port=port,
            data=data,
            cors_origin=cors_origin,
            body_limit=body_limit,
            tls_cert=tls_cert,
            tls_key=tls_key,
            tls_ca=tls_ca,
        )
    return _run(role, given)


def _given_settings() -> dict[str, Any] | None:
    """Read what the supervisor wrote; secrets are in the file, never on the command line."""
    path = os.environ.pop(CONFIG_VARIABLE, None)
    if path is None:
        return None
    import msgspec

    try:
        members: dict[str, Any] = msgspec.json.decode(Path(path).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{CONFIG_VARIABLE} cannot be read: {error}", where=path) from error
    return members


def _own_settings(role: ServiceRole, **given: Any) -> dict[str, Any]:
    import socket

    from flunq.log.address import split_credentials
    from flunq.services.identity.settings import identity_settings
    from flunq.services.supervising.options import USUAL_PARTITIONS

    loaded = settings(
        nats_url=given["nats"],
        functions=tuple(given["functions"]) if given["functions"] else None,
        worker_concurrency=given["capacity"],
        programs=given["programs"],
        api_port=given["port"],
        ca=given["tls_ca"] and str(given["tls_ca"].absolute()),
        cors_origins=tuple(given["cors_origin"]) if given["cors_origin"] else None,
        body_limit=given["body_limit"] and given["body_limit"] << 20,
    )
    if loaded.settings.ca is not None:
        # Every connection of this process reads it there.
        os.environ["FLUNQ_CA"] = loaded.settings.ca
    chosen, context = loaded.settings, loaded.context
    if chosen.nats_url is None:
        raise UsageError(
            "which NATS?", hint="name it with --nats nats://HOST:4222, or select a context"
        )
    url, user, password = split_credentials(chosen.nats_url)
    return {
        "nats_url": url,
        "user": os.environ.get("FLUNQ_NATS_USER") or user or (context and context.user),
        "password": os.environ.get("FLUNQ_NATS_PASSWORD")
        or password
        or (context and context.password),
        "tenant": chosen.tenant,
        "partitions": chosen.partitions or USUAL_PARTITIONS,
        "replicas": chosen.replicas or 1,
        "node": given["name"] or f"{socket.gethostname()}-{os.getpid()}",
        "roles": list(_ROLES[role]),
        "functions": list(chosen.functions),
        "capacity": chosen.worker_concurrency,
        "durability": chosen.durability,
        "drain_timeout": chosen.drain_timeout,
        "lease_ttl": chosen.lease_ttl,
        "blob_threshold": chosen.blob_threshold,
        "retention_after": chosen.retention_after,
        "retention_keep": chosen.retention_keep,
        "data_dir": given["data"] and str(given["data"].absolute()),
        "profile": "development" if chosen.egress == "development" else "production",
        "programs": chosen.programs,
        "program_memory": chosen.program_memory,
        "host": given["host"],
        "port": chosen.api_port,
        "identity": identity_settings(chosen, token_key=cluster_key()),
        "secrets_key": secrets_key(),
        "proof": _proof(cluster_key()),
        **_certificate(given["tls_cert"], given["tls_key"]),
        "cors_origins": chosen.cors_origins,
        "body_limit": chosen.body_limit,
        "log_level": chosen.log_level,
        "log_style": chosen.log_format,
    }


def _certificate(cert: Path | None, key: Path | None) -> dict[str, str]:
    if cert is None and key is None:
        return {}
    if cert is None or key is None:
        raise UsageError("--tls-cert and --tls-key go together")
    return {"tls_cert": str(cert.absolute()), "tls_key": str(key.absolute())}


def secrets_key() -> str | None:
    """Return the key of the vault; a damaged one is told before anything starts."""
    from flunq.services.vault import read_key

    key = os.environ.get(SECRETS_KEY_VARIABLE)
    if key:
        try:
            read_key(key)
        except RejectedError as error:
            raise UsageError(f"{SECRETS_KEY_VARIABLE}: {error.message}", hint=error.hint) from None
    return key


def cluster_key() -> str | None:
    """Return the key of the tokens; one that can be guessed is told before anything starts."""
    key = os.environ.get(CLUSTER_KEY_VARIABLE)
    if key and len(key) < SHORTEST_CLUSTER_KEY:
        raise UsageError(
            f"{CLUSTER_KEY_VARIABLE} is too short: {len(key)} characters",
            hint="make one with: openssl rand -base64 32",
        )
    return key


def _proof(token_key: str | None) -> str:
    from flunq.services.identity.keys import internal_proof

    return internal_proof(token_key) if token_key else ""


def _run(role: ServiceRole, given: dict[str, Any]) -> int:
    from flunq.services.base import DRAIN_MARGIN, DRAIN_SECONDS, run_process

    return run_process(
        _main_of(role, given),
        name=given.get("node", role.value),
        log_style=given.pop("log_style", "json"),
        log_level=given.pop("log_level", None),
        # The service drains by itself; this is the limit for one that does not.
        drain=given.get("drain_timeout", DRAIN_SECONDS) + DRAIN_MARGIN,
    )


def _main_of(
    role: ServiceRole, given: dict[str, Any]
) -> Callable[[Lifecycle], Coroutine[Any, Any, None]]:
    if role in (ServiceRole.API, ServiceRole.CONTROL):
        return lambda lifecycle: _control(given, lifecycle)
    if role is ServiceRole.HISTORIAN:
        return lambda lifecycle: _historian(given, lifecycle)
    return lambda lifecycle: _node(given, lifecycle)


async def _node(given: dict[str, Any], lifecycle: Lifecycle) -> None:
    # Modules of user functions are looked for where the command was started, after everything else.
    sys.path.append(str(Path.cwd()))
    from flunq.services.node import NodeSettings, run_node

    await run_node(_convert(given, NodeSettings), lifecycle.ready, lifecycle.stop)


async def _control(given: dict[str, Any], lifecycle: Lifecycle) -> None:
    from flunq.api.hosting import HostedApi
    from flunq.api.server import protocol_of
    from flunq.services.control import (
        ControlSettings,
        Health,
        nats_reachable,
        run_control,
    )
    from flunq.services.roles import control_roles

    chosen: ControlSettings = _convert(given, ControlSettings)
    health = Health()
    health.add("nats", nats_reachable(chosen.nats_url))
    api = HostedApi(chosen, health)
    await run_control(
        chosen,
        api.app,
        lifecycle,
        roles=[api.run, *control_roles(chosen)],
        protocol=protocol_of(api.services.settings.limits),
    )


async def _historian(given: dict[str, Any], lifecycle: Lifecycle) -> None:
    from flunq.services.control import ControlSettings
    from flunq.services.roles import historian_role

    chosen: ControlSettings = _convert(given, ControlSettings)
    if chosen.data_dir is None:
        raise UsageError("where is the archive?", hint="name its folder with --data DIR")
    lifecycle.ready()
    await historian_role(chosen, chosen.data_dir)(lifecycle.stop)


def _convert(given: dict[str, Any], kind: type[Any]) -> Any:
    """Take the members that a service knows; the files are shared by all of them."""
    import msgspec

    known = {name: given[name] for name in kind.__struct_fields__ if given.get(name) is not None}
    try:
        return msgspec.convert(known, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"settings of this process: {error}") from error
