"""Ports that are chosen ahead."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from flunq.log.nats import ports

if TYPE_CHECKING:
    import pytest


def bound() -> int:
    with socket.socket() as sock:
        ports.bind_free(sock, "127.0.0.1")
        return int(sock.getsockname()[1])


def test_no_outgoing_connection_is_given_a_port_that_was_chosen() -> None:
    assert bound() < 32_768


def test_a_port_that_is_taken_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "_CHOSEN", [port])
        monkeypatch.setattr(ports, "_ATTEMPTS", 1)
        assert bound() not in (0, port)
