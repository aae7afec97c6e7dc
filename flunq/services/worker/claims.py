"""Claim check: large values lie in the blob store, events hold a reference.

A reference is an object with the one member ``$flunq.blob``: ``{"key": ..., "size": ...}``. Keys
are digests, so storing a value twice is harmless. The state in memory always holds the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.claims import REFERENCE, is_reference, reference_key, reference_to
from flunq.errors import RejectedError

if TYPE_CHECKING:
    from flunq.core.events import CloudEvent
    from flunq.log.ports import Blobs

STRUCTURES = ("dispatch", "command")
"""Members of the engine's own making, in which the large values lie one level down."""

_encode = msgspec.json.Encoder().encode


def check_in(event: CloudEvent, threshold: int) -> tuple[CloudEvent, list[tuple[str, bytes]]]:
    """Replace the large members of an event's data by references; return them as blobs."""
    blobs: list[tuple[str, bytes]] = []
    if not isinstance(event.data, dict):
        return event, blobs
    return msgspec.structs.replace(event, data=_slim(event.data, threshold, blobs)), blobs


def _slim(
    members: dict[str, Any], threshold: int, blobs: list[tuple[str, bytes]]
) -> dict[str, Any]:
    slim = dict(members)
    for name, value in members.items():
        if not isinstance(value, (str, list, dict)):
            continue
        if name in STRUCTURES and isinstance(value, dict):
            slim[name] = _slim(value, threshold, blobs)
            continue
        body = _encode(value)
        if len(body) > threshold or is_reference(value):
            key, slim[name] = reference_to(body)
            blobs.append((key, body))
    return slim


async def check_out(data: Any, blobs: Blobs) -> Any:
    """Replace the references in an event's data by their values."""
    if not isinstance(data, dict):
        return data
    for name, value in data.items():
        if is_reference(value):
            data[name] = await resolve(value, blobs)
        elif name in STRUCTURES:
            data[name] = await check_out(value, blobs)
    return data


async def resolve_input(reference: Any, blobs: Blobs) -> Any:
    """Return the input that a client's reference stands for; raises RejectedError."""
    inner = reference[REFERENCE]
    key = inner.get("key") if isinstance(inner, dict) else None
    body = await blobs.get(key) if isinstance(key, str) else None
    try:
        if body is not None:
            return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        pass
    raise RejectedError(
        f"the input is an object with the one member {REFERENCE}, and refers to nothing",
        hint="values like that are the engine's own",
    )


async def resolve(reference: Any, blobs: Blobs) -> Any:
    """Return the value that a reference stands for."""
    key = reference_key(reference)
    body = await blobs.get(key)
    if body is None:
        raise LookupError(f"blob {key} is missing")
    return msgspec.json.decode(body)
