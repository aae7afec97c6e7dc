"""Claim check: large values lie in the blob store, events hold a reference.

A reference is an object with the one member ``$flunq.blob``: ``{"key": ..., "size": ...}``. Keys
are digests, so storing a value twice is harmless. The state in memory always holds the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.claims import is_reference, reference_key, reference_to

if TYPE_CHECKING:
    from flunq.core.events import CloudEvent
    from flunq.log.ports import Blobs

VALUE_MEMBERS = ("input", "output", "context", "arguments", "value", "error")

_encode = msgspec.json.Encoder().encode


def check_in(event: CloudEvent, threshold: int) -> tuple[CloudEvent, list[tuple[str, bytes]]]:
    """Replace the large members of an event's data by references; return them as blobs."""
    blobs: list[tuple[str, bytes]] = []
    data = event.data
    if not isinstance(data, dict):
        return event, blobs
    slim = dict(data)
    for member in VALUE_MEMBERS:
        if member not in slim:
            continue
        body = _encode(slim[member])
        if len(body) > threshold:
            key, slim[member] = reference_to(body)
            blobs.append((key, body))
    return msgspec.structs.replace(event, data=slim), blobs


async def check_out(data: Any, blobs: Blobs) -> Any:
    """Replace the references in an event's data by their values."""
    if not isinstance(data, dict):
        return data
    for member in VALUE_MEMBERS:
        value = data.get(member)
        if is_reference(value):
            data[member] = await resolve(value, blobs)
    return data


async def resolve(reference: Any, blobs: Blobs) -> Any:
    """Return the value that a reference stands for."""
    key = reference_key(reference)
    body = await blobs.get(key)
    if body is None:
        raise LookupError(f"blob {key} is missing")
    return msgspec.json.decode(body)
