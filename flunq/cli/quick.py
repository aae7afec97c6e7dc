"""Ask a cluster for names within the blink that completion has: no event loop, no NATS client.

Importing the real client takes longer than a shell may be kept waiting. This speaks just enough
of the NATS protocol for a question and its answers, and raises whatever goes wrong.
"""

from __future__ import annotations

import json
import secrets
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flunq.cli.session import settings
from flunq.core.ids import token
from flunq.core.tenancy import ADMIN_SUBJECT

if TYPE_CHECKING:
    from typing import BinaryIO

_PORT = 4222
_PATIENCE = 0.1
_IDS = 200


def execution_ids() -> list[str]:
    """Return the ids of the newest executions."""
    with _Asker() as asker:
        partitions = asker.ask([asker.catalog], {"type": "info"})[0]["partitions"]
        subjects = [f"{asker.prefix}.{number}" for number in range(partitions)]
        pages = asker.ask(subjects, {"type": "list", "limit": _IDS})
    newest = sorted((each for page in pages for each in page), key=_started, reverse=True)
    return [str(each["id"]) for each in newest[:_IDS]]


def workflow_names() -> list[str]:
    """Return the names of the registered workflows."""
    with _Asker() as asker:
        found = asker.ask([asker.catalog], {"type": "workflows"})[0]
    return sorted({str(each["name"]) for each in found})


def schedule_names() -> list[str]:
    """Return the names of the workflows whose schedules are in force."""
    with _Asker() as asker:
        found = asker.ask([f"{asker.prefix}.schedules"], {"type": "schedules"})[0]
    return sorted({str(each["name"]) for each in found})


def tenant_names() -> list[str]:
    """Return the names of the tenants; only an administrator of the cluster is told."""
    with _Asker() as asker:
        found = asker.ask([ADMIN_SUBJECT], {"type": "tenants"})[0]
    return sorted(str(each["name"]) for each in found)


def _started(summary: dict[str, Any]) -> int:
    return int(summary["started_at"])


class _Asker:
    """One connection, as a client of the selected cluster."""

    def __init__(self) -> None:
        loaded = settings()
        context = loaded.context
        if context is None or loaded.origins["nats_url"].source != "context":
            raise LookupError("no context is selected")
        parts = urlsplit(str(context.nats_url).split(",")[0])
        self.prefix = f"flunq.ask.{token(loaded.settings.tenant)}"
        self.catalog = f"{self.prefix}.catalog"
        user = context.user
        self._inbox = f"_INBOX_{user}" if user else "_INBOX"
        self._options = {"verbose": False, "user": user, "pass": context.password}
        address = (parts.hostname or "127.0.0.1", parts.port or _PORT)
        self._socket = socket.create_connection(address, timeout=_PATIENCE)
        # Questions and answers are small; the kernel must not wait for more to send.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader: BinaryIO = self._socket.makefile("rb")

    def __enter__(self) -> _Asker:
        self._reader.readline()  # the server introduces itself
        self._send(f"CONNECT {json.dumps(self._options)}\r\n".encode())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._reader.close()
        self._socket.close()

    def ask(self, subjects: list[str], question: dict[str, Any]) -> list[Any]:
        """Put one question to several and return their answers as they come."""
        inbox = f"{self._inbox}.{secrets.token_hex(8)}"
        body = json.dumps(question).encode()
        lines = [f"SUB {inbox} 1\r\n".encode()]
        for subject in subjects:
            lines += [f"PUB {subject} {inbox} {len(body)}\r\n".encode(), body, b"\r\n"]
        self._send(b"".join(lines))
        answers = [json.loads(self._message())["value"] for _ in subjects]
        self._send(b"UNSUB 1\r\n")
        return answers

    def _message(self) -> bytes:
        while True:
            words = self._reader.readline().split()
            if not words or words[0] == b"-ERR":
                raise ConnectionError("the server refused")
            if words[0] == b"PING":
                self._send(b"PONG\r\n")
            elif words[0] == b"MSG":
                return self._reader.read(int(words[-1]) + 2)

    def _send(self, data: bytes) -> None:
        self._socket.sendall(data)
