"""What makes two starts the same: the definition and the input."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from flunq.core.execution.commands import Start, WorkflowRef

_encode = msgspec.json.Encoder(order="sorted").encode


def fingerprint(value: Any) -> str:
    """Return the fingerprint of an execution's input."""
    return blake2b(_encode(value), digest_size=16).hexdigest()


def same_start(known: str, ref: WorkflowRef, start: Start) -> bool:
    """Tell whether a repeated start asks for the execution that it finds.

    What the repeat leaves open (namespace, version) agrees with whatever it got the first time.
    """
    asked = start.workflow
    return (
        asked.name == ref.name
        and asked.namespace in ("", ref.namespace)
        and asked.version in ("", "latest", ref.version)
        and asked.digest in ("", ref.digest)
        and fingerprint(start.input) == known
    )
