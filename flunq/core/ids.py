"""Names that must be the same everywhere: executions, partitions, steps, tasks, subject tokens."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from zlib import crc32

ID_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
MAILBOX_PATTERN = r"\A_INBOX[_.][^\s*>\x00-\x1f\x7f]{1,1000}\Z"
"""Where answers may go that somebody asks for: whoever sends them may publish anywhere else too."""
_MAILBOX = re.compile(MAILBOX_PATTERN)
_PLAIN_TOKEN = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_UNSAFE = re.compile(rb"[^A-Za-z0-9_-]")
_ESCAPED = re.compile(r"=([0-9A-F]{2})")


def is_valid_id(text: str) -> bool:
    """Tell whether ``text`` may name an execution, a tenant or a node."""
    return ID_PATTERN.fullmatch(text) is not None


def is_mailbox(subject: str) -> bool:
    """Tell whether an answer may be sent to ``subject``."""
    return _MAILBOX.match(subject) is not None


def partition_of(execution: str, partitions: int) -> int:
    """Return the partition that an execution belongs to, for ever."""
    return crc32(execution.encode()) % partitions


def token(text: str) -> str:
    """Encode any text as one subject token, key or file name: percent-encoding with ``=``."""
    if _PLAIN_TOKEN.fullmatch(text):
        return text
    return _UNSAFE.sub(lambda m: b"=%02X" % m.group()[0], text.encode()).decode()


def untoken(encoded: str) -> str:
    """Undo :func:`token`."""
    if "=" not in encoded:
        return encoded
    raw = _ESCAPED.sub(lambda m: chr(int(m.group(1), 16)), encoded)
    return raw.encode("latin-1").decode()


def step_key(execution: str, reference: str, path: str) -> str:
    """Return the idempotency key of a step: the same for every attempt and delivery.

    ``path`` holds the index of each enclosing loop and how often a scope was re-entered.
    """
    return f"{execution}:{reference}#{path}" if path else f"{execution}:{reference}"


def task_id(execution: str, reference: str, path: str, attempt: int) -> str:
    """Return the id of one attempt of a step; it is also a valid execution id."""
    digest = _step_digest(reference, path)
    full = f"{execution}.{digest}.{attempt}"
    if len(full) <= 128:
        return full
    return f"{blake2b(execution.encode(), digest_size=16).hexdigest()}.{digest}.{attempt}"


@lru_cache(maxsize=1024)
def _step_digest(reference: str, path: str) -> str:
    return blake2b(f"{reference}#{path}".encode(), digest_size=8).hexdigest()


def lifecycle_name(namespace: str, name: str, execution: str) -> str:
    """Return the qualified instance name that lifecycle events carry."""
    return f"{name}-{execution}.{namespace}"


@lru_cache(maxsize=1024)
def split_timer(timer: str) -> tuple[int, str]:
    """Return the number of a timer's frame, and the letter that says what the timer is for."""
    letter = next(character for character in timer if not character.isdigit())
    return int(timer[: timer.index(letter)]), letter
