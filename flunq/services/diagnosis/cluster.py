"""Checks of a running cluster, through the monitors of its servers and its API."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from flunq.errors import FlunqError
from flunq.log.nats.server import require_version
from flunq.services.diagnosis.checks import Check, fail, ok, warn
from flunq.services.supervising.archive import ArchiveState, archive_line
from flunq.services.supervising.health import catching_up, health_problem
from flunq.services.supervising.heard import NO_ANSWER, Heard, heard_of
from flunq.services.supervising.network import http_get

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flunq.services.diagnosis.checks import Checker
    from flunq.services.supervising.statefile import ClusterState

_SKEW_WARNING = 1.0
_SKEW_FAILURE = 10.0
_FAST_INTERVAL_NS = 100_000_000
_NEARLY_FULL = 0.9
_FRACTION = re.compile(r"\.(\d{6})\d*")


class _JetStreamConfig(msgspec.Struct):
    max_memory: int = 0
    max_storage: int = 0
    store_dir: str = ""
    sync_interval: int = 0
    sync_always: bool = False


class _JetStreamStats(msgspec.Struct):
    memory: int = 0
    storage: int = 0


class _JetStream(msgspec.Struct):
    config: _JetStreamConfig | None = None
    stats: _JetStreamStats = msgspec.field(default_factory=_JetStreamStats)


class ServerVariables(msgspec.Struct):
    """What a server's monitor tells at ``/varz``."""

    version: str = ""
    server_name: str = ""
    now: str = ""
    max_payload: int = 0
    jetstream: _JetStream = msgspec.field(default_factory=_JetStream)


def cluster_checks(state: ClusterState, tenant: str) -> Iterator[tuple[str, Checker]]:
    """Yield the checks of a cluster that runs on this machine."""

    answers: list[Heard] = []

    async def services() -> list[Check]:
        answers.append(await heard_of(state))
        return check_services(answers[0].state)

    async def api() -> Check:
        return await check_api(state.api.url, state.api.ca)

    yield "services", services

    async def archive() -> list[Check]:
        return check_archives(answers[0].archives)

    yield "api", api
    yield "archive", archive
    for monitor in state.nats.monitors:
        yield "server", _server_checker(monitor, state, tenant)
    if state.nats.external:

        async def greeting() -> Check:
            return await check_greeting(state.nats.urls[0])

        yield "nats", greeting


def _server_checker(monitor: str, state: ClusterState, tenant: str) -> Checker:
    async def check() -> list[Check]:
        asked = time.time()
        _, body = await http_get(f"{monitor}/varz")
        variables = msgspec.json.decode(body, type=ServerVariables)
        return [
            await check_health(monitor),
            check_version(variables),
            check_clock(variables, (asked + time.time()) / 2),
            check_durability(variables, state.durability),
            check_limits(variables),
            *await _stream_checks(monitor, tenant, state),
        ]

    return check


def check_services(state: ClusterState) -> list[Check]:
    """Does every process run, and did it run all the time?"""
    found = []
    for service in state.services:
        value = f"{service.name} {service.state}, {service.restarts} restarts"
        remedy = f"flunq logs {service.name}"
        if service.reason == NO_ANSWER:
            remedy += f"; if it hangs, end it: kill -9 {service.pid}, and it is started again"
        if service.state != "ready":
            found.append(fail("services", f"{value}: {service.reason or 'not ready'}", remedy))
        elif service.restarts:
            found.append(warn("services", f"{value}, the last: {service.reason}", remedy))
    return found or [ok("services", f"{len(state.services)} processes, none restarted")]


async def check_api(url: str, ca: str | None = None) -> Check:
    """Does the API say that it is ready?"""
    try:
        status, body = await http_get(f"{url}/readyz", within=3.0, ca=ca)
    except (OSError, TimeoutError) as error:
        return fail("api", f"{url} does not answer: {_why(error)}", "flunq logs control")
    if status != 200:
        return fail("api", f"not ready: {body.decode(errors='replace')}", "flunq logs control")
    return ok("api", f"{url} is ready")


def _why(error: Exception) -> str:
    return str(error) or "timed out"


def check_archives(states: Sequence[ArchiveState] | None) -> list[Check]:
    """Does the archive follow the journal?"""
    if states is None:
        return [warn("archive", archive_line(None), "flunq logs control")]
    if not states:
        remedy = "it is part of the control process: flunq logs control"
        return [warn("archive", "no historian answers: the journal is never trimmed", remedy)]
    return [_check_archive(each) for each in states]


def _check_archive(archive: ArchiveState) -> Check:
    if archive.state == "following":
        return ok("archive", archive_line([archive]))
    if archive.state == "behind":
        behind = f"{archive.behind_seconds:.0f} s behind the journal"
        return warn("archive", behind, "queries are right all the same; flunq lake status")
    return fail("archive", "it does not grow", "flunq lake status says why")


def check_shares(workers: int, tenant: str, partitions: int) -> Check:
    """Has every node a share of what a tenant's executions do?"""
    value = f"{partitions} of tenant {tenant} for {workers} nodes"
    if workers <= partitions:
        return ok("partitions", value)
    remedy = (
        "the other nodes run tasks and take over when one dies; for executions that are shared: "
        f"flunq tenants create NAME --partitions {2 * workers}"
    )
    return warn("partitions", value, remedy)


async def check_health(monitor: str) -> Check:
    """Is the server itself content?"""
    problem = await health_problem(monitor)
    if problem is not None and catching_up(problem):
        return warn("nats health", problem, "give it a moment: it follows the other servers")
    if problem is not None:
        return fail("nats health", problem, "free disk space if it is full; flunq logs nats")
    return ok("nats health", monitor)


def check_version(variables: ServerVariables) -> Check:
    """Is the running server new enough?"""
    try:
        require_version(f"v{variables.version}", "the running nats-server")
    except FlunqError as error:
        return fail("nats version", error.message, error.hint or "upgrade nats-server")
    return ok("nats version", variables.version)


def check_clock(variables: ServerVariables, now: float) -> Check:
    """Do the server and this process agree on the time?"""
    try:
        server = datetime.fromisoformat(_FRACTION.sub(r".\1", variables.now)).astimezone(UTC)
    except ValueError:
        return warn("clock skew", f"the server's time is {variables.now!r}", "upgrade nats-server")
    skew = server.timestamp() - now
    value, remedy = f"{skew * 1000:+.0f} ms", "synchronise the clocks (chrony, systemd-timesyncd)"
    if abs(skew) > _SKEW_FAILURE:
        return fail("clock skew", value, remedy)
    return (
        warn("clock skew", value, remedy) if abs(skew) > _SKEW_WARNING else ok("clock skew", value)
    )


def check_durability(variables: ServerVariables, promised: str) -> Check:
    """Does the server sync as often as ``flunq up`` said?"""
    config = variables.jetstream.config
    if config is None:
        return fail("durability", "JetStream is off", "start the server with JetStream")
    in_force = _sync_in_words(config)
    kept = config.sync_always if promised == "strict" else _fast_enough(config)
    if promised != "external" and not kept:
        value = f"{promised} was promised, in force is: {in_force}"
        return fail("durability", value, "flunq down, then flunq up")
    return ok("durability", f"{promised}: {in_force}")


def _fast_enough(config: _JetStreamConfig) -> bool:
    return config.sync_always or 0 < config.sync_interval <= _FAST_INTERVAL_NS


def _sync_in_words(config: _JetStreamConfig) -> str:
    if config.sync_always:
        return "fsync before every acknowledgement"
    return f"fsync every {config.sync_interval / 1_000_000:,.0f} ms"


def check_limits(variables: ServerVariables) -> Check:
    """Is there room within the limits of JetStream?"""
    config, used = variables.jetstream.config, variables.jetstream.stats
    if config is None:
        return fail("jetstream limits", "JetStream is off", "start the server with JetStream")
    shares = {
        "storage": (used.storage, config.max_storage),
        "memory": (used.memory, config.max_memory),
    }
    value = ", ".join(f"{name} {_mib(a)} of {_mib(b)} MiB" for name, (a, b) in shares.items())
    full = [name for name, (a, b) in shares.items() if b > 0 and a > _NEARLY_FULL * b]
    if full:
        return fail("jetstream limits", value, f"raise the limit of {full[0]}, or free space")
    return ok("jetstream limits", f"{value}, messages up to {_mib(variables.max_payload)} MiB")


def _mib(count: int) -> str:
    return f"{count / 1024 / 1024:,.1f}"


async def _stream_checks(monitor: str, tenant: str, state: ClusterState) -> list[Check]:
    from flunq.log.nats.names import Names

    _, body = await http_get(f"{monitor}/jsz?accounts=1&streams=1&config=1", within=5.0)
    streams = {stream["name"]: stream for stream in _streams(msgspec.json.decode(body))}
    checks = [check_streams(streams, tenant, state.replicas)]
    journal = streams.get(Names(tenant).journal_stream)
    if journal is not None and state.workers > 1:
        # Whoever takes a partition over says so in it, so each of them is there.
        checks.append(check_shares(state.workers, tenant, journal["state"]["num_subjects"]))
    return checks


def check_streams(streams: Mapping[str, dict[str, Any]], tenant: str, replicas: int) -> Check:
    """Are the streams configured as declared?"""
    from flunq.log.nats.names import Names
    from flunq.log.nats.streams import differences, tenant_streams  # imports nats-py

    declared = tenant_streams(Names(tenant), replicas)
    found: list[str] = []
    for config in declared:
        there = streams.get(config["name"])
        found += (
            [f"{config['name']} is missing"]
            if there is None
            else differences(config, there["config"])
        )
    if len(found) == len(declared) and not any(c["name"] in streams for c in declared):
        return ok("streams", f"tenant {tenant} has none yet")
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        remedy = "flunq down, flunq up puts missing ones in place; undo changes made by hand"
        return fail("streams", "; ".join(found[:3]) + more, remedy)
    return ok("streams", f"{len(declared)} of tenant {tenant} as declared")


def _streams(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for account in answer.get("account_details") or []:
        yield from account.get("stream_detail") or []


async def check_greeting(url: str) -> Check:
    """What does a NATS server that somebody else runs say of itself?"""
    import asyncio

    parts = urlsplit(url)
    try:
        async with asyncio.timeout(3.0):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 4222)
            line = await reader.readline()
            writer.close()
        info = msgspec.json.decode(line.removeprefix(b"INFO "))
        require_version(f"v{info['version']}", url)
    except (OSError, TimeoutError, msgspec.DecodeError, KeyError) as error:
        return fail("nats", f"{url}: {_why(error)}", "check the address")
    except FlunqError as error:
        return fail("nats", error.message, error.hint or "upgrade nats-server")
    if not info.get("jetstream"):
        return fail("nats", f"{url} has no JetStream", "start it with JetStream")
    return warn(
        "durability",
        f"{url} ({info['version']}) decides itself when it syncs",
        "set sync_interval: always in its configuration for the strict promise",
    )
