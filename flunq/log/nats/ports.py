"""Ports for servers that are started a moment after their port was chosen."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

_CHOSEN = range(15_000, 32_000)
"""Below what systems give to outgoing connections, one of which could come in between."""
_ATTEMPTS = 40


def bind_free(sock: socket.socket, host: str) -> None:
    """Bind to a port that is free, if possible one that nothing is given by chance."""
    for port in secrets.SystemRandom().sample(_CHOSEN, _ATTEMPTS):
        with contextlib.suppress(OSError):
            sock.bind((host, port))
            return
    sock.bind((host, 0))
