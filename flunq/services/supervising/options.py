"""What a local cluster is asked to be."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import msgspec

from flunq.errors import UsageError
from flunq.services.identity.settings import IdentitySettings

USUAL_PARTITIONS = 8
"""When it is not known how many nodes will share them."""
FEWEST_PARTITIONS = 1
"""Of a cluster with one node: a second one finds work too."""


class ClusterOptions(msgspec.Struct, kw_only=True, frozen=True):
    """The options of ``flunq up``."""

    data: Path
    workers: int = 1
    durability: Literal["strict", "fast"] = "strict"
    functions: tuple[str, ...] = ()
    nats_url: str | None = None
    """An existing NATS; no server is started then."""
    nats_user: str | None = None
    nats_password: str | None = None
    node_nats_urls: tuple[str, ...] = ()
    """Where each node finds NATS instead of directly: behind what disturbs its network."""
    nodes: int = 1
    replicas: int | None = None
    nats_port: int = 0
    api_port: int = 0
    nats_server: str | None = None
    tenant: str = "default"
    partitions: int | None = None
    """Of a new tenant; None: as many as its nodes share well."""
    worker_concurrency: int = 256
    drain_timeout: float = 10.0
    lease_ttl: float = 3.0
    profile: Literal["development", "production"] = "development"
    """What workflows may reach: a cluster on loopback may reach loopback."""
    programs: bool | None = None
    """Whether workflows may run local programs; None: as the profile says."""
    program_memory: int = 4 << 30
    blob_threshold: int = 256 * 1024
    retention_after: float | None = None
    retention_keep: int | None = None
    tls: bool = False
    """Whether the API and NATS are reached by TLS, with certificates of the data directory."""
    hosts: tuple[str, ...] = ()
    """Names and addresses that the certificates are for, beside this machine's own."""
    encrypt: bool = False
    """Whether what the NATS servers store is encrypted; a store that is stays so."""
    identity: IdentitySettings = IdentitySettings()
    cors_origins: tuple[str, ...] = ()
    """Origins of web pages that may call the API."""
    body_limit: int = 8 << 20
    """Bytes that the body of a request to the API may have."""
    log_level: str = "info"
    program: tuple[str, ...] = (sys.executable, "-P", "-m", "flunq", "serve")
    """What runs a role. ``-P``: files in the working directory must not shadow modules."""
    context: str | None = "local"
    """The context to write and select."""

    @property
    def tenant_partitions(self) -> int:
        """How many partitions a new tenant has: with fewer, more executions share a commit."""
        if self.partitions is not None:
            return self.partitions
        if self.workers == 1:
            return FEWEST_PARTITIONS
        return max(USUAL_PARTITIONS, 1 << (2 * self.workers - 1).bit_length())

    @property
    def stream_replicas(self) -> int:
        """How many servers keep each stream."""
        if self.replicas is not None:
            return self.replicas
        return 3 if self.nodes >= 3 else 1


def check_options(options: ClusterOptions) -> None:
    """Refuse what cannot work, before anything is started."""
    if options.workers < 1:
        raise UsageError("a cluster needs at least one worker", hint="--workers 1")
    if options.nodes not in (1, 3, 5):
        raise UsageError(
            f"{options.nodes} NATS servers make no sound cluster", hint="use --nodes 1, 3 or 5"
        )
    if options.nats_url is not None and options.nodes != 1:
        raise UsageError("--nats uses servers that exist, --nodes starts new ones: choose one")
    if options.nats_url is None and options.stream_replicas > options.nodes:
        raise UsageError(
            f"{options.stream_replicas} replicas need as many NATS servers, there are "
            f"{options.nodes}",
            hint=f"--nodes {options.stream_replicas | 1}",
        )
    if options.nats_url is not None and options.encrypt:
        raise UsageError(
            "--encrypt is for NATS servers that flunq starts",
            hint="configure jetstream { cipher, key } of your server",
        )
    for named in options.functions:
        if named.endswith(".py") and not Path(named).is_file():
            raise UsageError(f"there is no file {named}", hint="--functions FILE.py or a module")
