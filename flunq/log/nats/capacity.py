"""What JetStream says of streams and their durable consumers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from flunq.core.capacity import Capacity, ConsumerUse, StreamUse
from flunq.core.ids import untoken
from flunq.log.nats.jetstream import seconds_of
from flunq.log.nats.names import EXECUTORS
from flunq.log.ports import StreamGoneError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flunq.log.nats.jetstream import JetStream

_Info = dict[str, Any]


async def capacity_of(js: JetStream, streams: Mapping[str, str]) -> Capacity:
    """Look at streams, given by name with what each is for; those that are missing are left out."""
    found = await asyncio.gather(*(_look(js, name, kind) for name, kind in streams.items()))
    return Capacity(
        streams=[stream for stream, _ in found if stream is not None],
        consumers=[consumer for _, consumers in found for consumer in consumers],
    )


async def _look(js: JetStream, name: str, kind: str) -> tuple[StreamUse | None, list[ConsumerUse]]:
    try:
        info = await js.insist(f"STREAM.INFO.{name}")
        listed = await _consumers(js, name) if info["state"].get("consumer_count") else []
    except StreamGoneError:
        return None, []
    durable = [each for each in listed if each["config"].get("durable_name")]
    return _stream(info, kind), [_consumer(each) for each in durable]


async def _consumers(js: JetStream, stream: str) -> list[_Info]:
    """Return all consumers of a stream, page by page."""
    found: list[_Info] = []
    while True:
        answer = await js.insist(f"CONSUMER.LIST.{stream}", {"offset": len(found)})
        page: list[_Info] = answer.get("consumers") or []
        found += page
        if not page or len(found) >= answer.get("total", 0):
            return found


def _stream(info: _Info, kind: str) -> StreamUse:
    config, state = info["config"], info["state"]
    messages, limit = int(state["messages"]), int(config.get("max_bytes", -1))
    return StreamUse(
        name=config["name"],
        kind=kind,
        messages=messages,
        bytes=int(state["bytes"]),
        max_bytes=limit if limit > 0 else None,
        subjects=int(state.get("num_subjects", 0)),
        first_at=_moment(state.get("first_ts")) if messages else None,
        last_at=_moment(state.get("last_ts")) if messages else None,
        consumers=int(state.get("consumer_count", 0)),
        replicas=int(config.get("num_replicas", 1)),
    )


def _consumer(info: _Info) -> ConsumerUse:
    name = str(info["name"])
    return ConsumerUse(
        stream=info["stream_name"],
        name=name,
        serves=untoken(name.removeprefix(EXECUTORS)) if name.startswith(EXECUTORS) else "",
        pending=int(info.get("num_pending", 0)),
        unacked=int(info.get("num_ack_pending", 0)),
        redelivered=int(info.get("num_redelivered", 0)),
        waiting=int(info.get("num_waiting", 0)),
        delivered_at=_moment(info.get("delivered", {}).get("last_active")),
        acked_at=_moment(info.get("ack_floor", {}).get("last_active")),
    )


def _moment(text: str | None) -> int | None:
    return round(seconds_of(text) * 1_000_000) if text else None
