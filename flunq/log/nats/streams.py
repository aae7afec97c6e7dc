"""The declared configuration of every stream and bucket, and how it is put in place."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flunq.log.nats.jetstream import NAME_IN_USE, ApiError
from flunq.log.nats.names import stream_token
from flunq.log.ports import StreamGoneError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flunq.log.nats.jetstream import JetStream
    from flunq.log.nats.names import Names

Config = dict[str, Any]

_log = logging.getLogger(__name__)
_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
DEDUPLICATION_WINDOW = 120 * _SECOND
FILE_BUCKETS = ("definitions", "state", "tenants", "secrets", "identity")
ASYNC_BUCKETS = ("nodes",)
BLOBS = "flunq_blobs"
DEFAULT_TENANT = "default"
LEASES = "flunq_leases"


def tenant_streams(names: Names, replicas: int) -> list[Config]:
    """Return what a tenant needs."""
    journal = _stream(names.journal_stream, [names.journals], replicas)
    # A message of the journal goes by a trim alone; direct reads are for paging through it.
    journal |= {"deny_delete": True, "allow_direct": True}
    # The server repeats what it stored to whoever listens; nobody has to read the stream for it.
    journal |= {"republish": {"src": names.journals, "dest": names.feed}}
    inbox = _stream(names.inbox_stream, [names.inboxes], replicas)
    tasks = _stream(names.tasks_stream, [names.tasks], replicas) | {"retention": "workqueue"}
    events = _stream(names.events_stream, names.events, replicas) | {"allow_direct": True}
    schedules = _stream(names.schedules_stream, [names.wakes, names.schedules], replicas)
    # Schedules exclude "discard new"; without a limit nothing is discarded anyway.
    schedules |= {"allow_msg_schedules": True, "allow_rollup_hdrs": True, "discard": "old"}
    dead = _stream(names.dlq_stream, [names.dead_letters], replicas) | {"allow_direct": True}
    audit = audit_stream(names, replicas)
    return [journal, inbox, _unsynced(tasks), events, _unsynced(schedules), dead, audit]


def audit_stream(names: Names, replicas: int) -> Config:
    """Return where it is kept who did what; for how long is said by the control process alone."""
    config = _stream(names.audit_stream, [names.audit], replicas)
    del config["max_age"]
    return config | {"allow_direct": True, "discard": "old", "compression": "s2"}


def shared_buckets(replicas: int, lease_ttl: float, blobs: str = BLOBS) -> list[Config]:
    """Return what all tenants share, and the bucket of one tenant's large values."""
    files = [_bucket(f"flunq_{name}", replicas) for name in FILE_BUCKETS]
    unsynced = [_unsynced(_bucket(f"flunq_{name}", replicas)) for name in ASYNC_BUCKETS]
    return [*files, *unsynced, leases(replicas, lease_ttl), _blobs(replicas, blobs)]


def shared_streams() -> dict[str, str]:
    """Return what each stream is for that all tenants share, by its name."""
    buckets = {f"flunq_{name}": name for name in (*FILE_BUCKETS, *ASYNC_BUCKETS)}
    buckets[LEASES] = "leases"
    return {bucket_stream(bucket): kind for bucket, kind in buckets.items()}


def leases(replicas: int, ttl: float) -> Config:
    """Return the bucket of leases: in memory, gone unless renewed."""
    age = int(ttl * _SECOND)
    window = min(age, DEDUPLICATION_WINDOW)
    return _bucket(LEASES, replicas) | {
        "storage": "memory",
        "max_age": age,
        "duplicate_window": window,
    }


def bucket_stream(bucket: str) -> str:
    """Return the stream behind a bucket; the same as other tools for key-value buckets use."""
    return f"KV_{bucket}"


def blobs_bucket(tenant: str) -> str:
    """Return the bucket of a tenant's large values: keys of one mean nothing in another."""
    return BLOBS if tenant == DEFAULT_TENANT else f"{BLOBS}_{stream_token(tenant)}"


def blobs_stream(bucket: str) -> str:
    """Return the stream behind a bucket of large values."""
    return f"OBJ_{bucket}"


async def ensure(js: JetStream, configs: Iterable[Config]) -> None:
    """Create what is missing, and follow a changed number of replicas."""
    await asyncio.gather(*(_ensure_one(js, config) for config in configs))


async def destroy(js: JetStream, streams: Iterable[str]) -> None:
    """Delete streams with all they hold; those that are gone already are no matter."""
    for name in streams:
        with suppress(StreamGoneError):
            await js.insist(f"STREAM.DELETE.{name}")


async def drift(js: JetStream, configs: Iterable[Config]) -> list[str]:
    """Say what is missing or configured otherwise than declared."""
    found: list[str] = []
    for config in configs:
        try:
            info = await js.insist(f"STREAM.INFO.{config['name']}")
        except StreamGoneError:
            found.append(f"the stream {config['name']} is missing")
            continue
        found += differences(config, info["config"])
    return found


def differences(declared: Config, actual: Config) -> list[str]:
    """Compare a declared configuration with the one in force."""
    return [
        f"{declared['name']}: {name} is {actual.get(name)!r}, should be {wanted!r}"
        for name, wanted in declared.items()
        if actual.get(name) != wanted and (wanted or actual.get(name))
    ]


async def _ensure_one(js: JetStream, config: Config) -> None:
    try:
        await js.insist(f"STREAM.CREATE.{config['name']}", config)
    except ApiError as error:
        if error.err_code != NAME_IN_USE:
            raise
        await _follow(js, config)


async def _follow(js: JetStream, config: Config) -> None:
    """Bring an existing stream up to what this version declares, as far as it can be changed."""
    actual = (await js.insist(f"STREAM.INFO.{config['name']}"))["config"]
    found = differences(config, actual)
    if not found:
        return
    try:
        await js.insist(f"STREAM.UPDATE.{config['name']}", actual | config)
    except ApiError as error:
        for difference in found:
            _log.warning("%s (%s)", difference, error)


def _stream(name: str, subjects: list[str], replicas: int) -> Config:
    return {
        "name": name,
        "subjects": subjects,
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "num_replicas": replicas,
        "max_age": 0,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_msgs_per_subject": -1,
        "duplicate_window": DEDUPLICATION_WINDOW,
    }


def _bucket(bucket: str, replicas: int) -> Config:
    return _stream(bucket_stream(bucket), [f"$KV.{bucket}.>"], replicas) | {
        "max_msgs_per_subject": 1,
        "allow_direct": True,
        "allow_rollup_hdrs": True,
        "deny_delete": True,
    }


def _blobs(replicas: int, bucket: str) -> Config:
    return _stream(blobs_stream(bucket), [f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"], replicas) | {
        "allow_direct": True,
        "allow_rollup_hdrs": True,
    }


def _unsynced(config: Config) -> Config:
    """What can be derived from the journal need not wait for the disk; one replica only."""
    return config | {"persist_mode": "async"} if config["num_replicas"] == 1 else config
