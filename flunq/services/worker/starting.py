"""What the owner of an execution draws for it before it begins: nobody else may, or has to."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING

from msgspec.structs import replace

from flunq.core.tracing import first_context

if TYPE_CHECKING:
    from flunq.core.execution.commands import Start


def drawn(start: Start, *, secrets: bool, tracing: bool) -> Start:
    """Return a start with the nonce of its markers and a trace of its own, where it needs them."""
    if secrets:
        start = replace(start, nonce=token_hex(16))
    if tracing and start.traceparent is None:
        start = replace(start, traceparent=first_context(token_hex(16), start.id))
    return start
