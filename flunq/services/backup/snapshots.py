"""Streams as the server itself writes and reads them: sequences and times stay what they are."""

from __future__ import annotations

import asyncio
from typing import IO, TYPE_CHECKING, Any

import msgspec

from flunq.errors import InternalError, UnavailableError
from flunq.log.nats.jetstream import ApiError, JetStream, parse_status
from flunq.log.nats.streams import bucket_stream
from flunq.log.ports import NoResponderError, RequestTimeoutError, StreamGoneError

if TYPE_CHECKING:
    from flunq.log.nats.connection import Connection

OURS = ("FLUNQ_", "KV_flunq_", "OBJ_flunq_")
STATE_BUCKET = "flunq_state"
STATE = bucket_stream(STATE_BUCKET)
CHUNK = 512 * 1024
WINDOW = 32 * 1024 * 1024
"""What the server sends before it wants to hear that something arrived; its largest."""
QUIET = 30.0
FINISHING = 300.0


async def list_streams(connection: Connection) -> dict[str, dict[str, Any]]:
    """Return what the server says of each of flunq's streams that is kept on disk."""
    js = JetStream(connection)
    found: dict[str, dict[str, Any]] = {}
    offset, total = 0, 1
    while offset < total:
        page = await js.insist("STREAM.LIST", {"offset": offset})
        streams = page.get("streams") or []
        total, offset = page["total"], offset + len(streams)
        if not streams:
            break
        for info in streams:
            name = info["config"]["name"]
            if name.startswith(OURS) and info["config"]["storage"] == "file":
                found[name] = info
    return found


async def removed(connection: Connection, stream: str) -> int:
    """Return how many of a stream's messages are gone."""
    state = (await JetStream(connection).insist(f"STREAM.INFO.{stream}"))["state"]
    return int(state["last_seq"]) - int(state["messages"])


async def take(connection: Connection, stream: str, into: IO[bytes]) -> dict[str, Any] | None:
    """Write a stream's snapshot; return what it is and holds, and when it was made.

    None if it is gone.
    """
    with connection.channel() as chunks:
        wanted = {
            "deliver_subject": chunks.subject,
            "no_consumers": True,
            "chunk_size": CHUNK,
            "window_size": WINDOW,
        }
        js = JetStream(connection)
        try:
            created = (await js.call(f"STREAM.INFO.{stream}", within=QUIET))["created"]
            begun = await js.call(f"STREAM.SNAPSHOT.{stream}", wanted, within=QUIET)
        except StreamGoneError:
            return None
        except (ApiError, RequestTimeoutError, NoResponderError) as error:
            raise _failed(stream, error) from error
        while True:
            try:
                items = await chunks.take(within=QUIET)
            except TimeoutError:
                raise _failed(stream, "the server fell silent") from None
            for item in items:
                if isinstance(item, Exception):
                    raise _failed(stream, item)
                reply, message = item
                if not message.data:
                    _check_end(stream, message.headers)
                    found = {"config": begun["config"], "state": begun["state"]}
                    return {**found, "created": created}
                await asyncio.to_thread(into.write, message.data)
                if reply:
                    await connection.send(reply.decode(), b"")


def _check_end(stream: str, headers: bytes) -> None:
    status = parse_status(headers)
    if status is None or status.code in (200, 204):
        return
    if status.code == 408:
        raise UnavailableError(
            f"the server stopped sending {stream}: {status.text}",
            hint="stop the cluster with `flunq down` and take the backup then",
        )
    raise _failed(stream, f"{status.code} {status.text}")


def _failed(stream: str, reason: object) -> UnavailableError:
    return UnavailableError(
        f"the stream {stream} was not backed up: {reason}",
        hint="see `flunq status`, and try again",
    )


async def put_back(
    connection: Connection, name: str, facts: dict[str, Any], source: IO[bytes], *, replicas: int
) -> None:
    """Make a stream from its snapshot."""
    config = {**facts["config"], "num_replicas": replicas}
    if replicas > 1:
        config.pop("persist_mode", None)
    js = JetStream(connection)
    try:
        begun = await js.call(
            f"STREAM.RESTORE.{name}", {"config": config, "state": facts["state"]}, within=QUIET
        )
        place = begun["deliver_subject"]
        while chunk := await asyncio.to_thread(source.read, CHUNK):
            await connection.request(place, chunk, within=QUIET)
        answer = await connection.request(place, b"", within=FINISHING)
    except (ApiError, RequestTimeoutError, NoResponderError) as error:
        raise InternalError(f"the stream {name} was not restored: {error}") from error
    ended = msgspec.json.decode(answer.data)
    if refusal := ended.get("error"):
        raise InternalError(f"the stream {name} was not restored: {refusal.get('description')}")
    _compare(name, facts["state"], ended["state"])


def _compare(name: str, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    """Refuse to go on with a stream that is not what was saved."""
    for member in ("messages", "first_seq", "last_seq"):
        if wanted[member] > found[member]:
            raise InternalError(
                f"the stream {name} has {member} {found[member]} instead of {wanted[member]}"
            )
