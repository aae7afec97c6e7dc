"""Addresses of brokers as users write them, with who they are in between."""

from __future__ import annotations

import os
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from flunq.errors import UsageError

_SCHEMES = ("nats", "tls", "ws", "wss")


def split_credentials(url: str) -> tuple[str, str | None, str | None]:
    """Take ``user:password@`` out of an address, so that it can be shown."""
    user = password = None
    bare = []
    backend = os.environ.get("EVENT_STREAM_TYPE") or "nats"
    for each in url.split(","):
        parts = urlsplit(each if "://" in each else f"nats://{each}")
        host = parts.netloc.rpartition("@")[2]
        bare.append(urlunsplit((parts.scheme, host, parts.path, "", "")))
        if backend == "nats" and not _is_of_nats(parts):
            raise UsageError(f"{bare[-1]!r} is no address of NATS", hint="write nats://HOST:PORT")
        user, password = parts.username or user, parts.password or password
    return ",".join(bare), user and unquote(user), password and unquote(password)


def _is_of_nats(parts: SplitResult) -> bool:
    try:
        return parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number
        return False
