"""Channels to gRPC servers: kept for reuse, to addresses that were checked.

Imports grpc, so the executor imports it with its first call, in a thread.
"""

from __future__ import annotations

import ipaddress
import os
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

# Set before the import: fork handlers print to the terminal whenever a process is started, and
# refused connections are the workflow's business, not that of stderr.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import certifi
import grpc
import grpc.aio

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_CHANNELS = 256
_IDLE_MS = 60_000
_IDENTITY_ONLY = 1
_RECONNECT_MS = (100, 100, 2_000)


class Place(NamedTuple):
    """What a channel leads to."""

    host: str
    port: int
    secure: bool
    addresses: tuple[str, ...]

    @property
    def authority(self) -> str:
        """Return the name under which the server is asked."""
        return self.host if self.port == 443 else f"{self.host}:{self.port}"

    @property
    def target(self) -> str:
        """Return the addresses as grpc reads them: a target has one family, so v4 is mapped."""
        texts = [ipaddress.ip_address(address.partition("%")[0]) for address in self.addresses]
        if all(text.version == 4 for text in texts):
            return "ipv4:" + ",".join(f"{text}:{self.port}" for text in texts)
        mapped = [text if text.version == 6 else f"::ffff:{text}" for text in texts]
        return "ipv6:" + ",".join(f"[{text}]:{self.port}" for text in mapped)


class Channels:
    """Channels by place, those used last; each connects when it is needed."""

    def __init__(self, max_message: int) -> None:
        self._max_message = max_message
        self._kept: OrderedDict[Place, grpc.aio.Channel] = OrderedDict()
        self._users: dict[Place, int] = {}
        self._credentials: grpc.ChannelCredentials | None = None

    async def take(self, place: Place) -> grpc.aio.Channel:
        """Return a channel; give it back with :meth:`release`."""
        channel = self._kept.get(place)
        if channel is None:
            channel = self._kept[place] = self._open(place)
        self._kept.move_to_end(place)
        self._users[place] = self._users.get(place, 0) + 1
        if len(self._kept) > MAX_CHANNELS:
            await self._close_oldest()
        return channel

    def release(self, place: Place) -> None:
        """Let a channel be closed once others are needed more."""
        self._users[place] -= 1
        if not self._users[place]:
            del self._users[place]

    async def close(self) -> None:
        """Close all of them."""
        channels = list(self._kept.values())
        self._kept.clear()
        for channel in channels:
            await channel.close()

    async def _close_oldest(self) -> None:
        for place in list(self._kept):
            if place not in self._users:
                await self._kept.pop(place).close()
                return

    def _open(self, place: Place) -> grpc.aio.Channel:
        options = self._options(place)
        if not place.secure:
            return grpc.aio.insecure_channel(place.target, options=options)
        if self._credentials is None:
            self._credentials = grpc.ssl_channel_credentials(_trusted_roots())
        return grpc.aio.secure_channel(place.target, self._credentials, options=options)

    def _options(self, place: Place) -> Sequence[tuple[str, Any]]:
        initial, shortest, longest = _RECONNECT_MS
        return [
            ("grpc.default_authority", place.authority),
            ("grpc.ssl_target_name_override", place.host),
            ("grpc.primary_user_agent", "flunq"),
            ("grpc.enable_http_proxy", 0),
            ("grpc.enable_retries", 0),
            ("grpc.service_config_disable_resolution", 1),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.client_idle_timeout_ms", _IDLE_MS),
            ("grpc.initial_reconnect_backoff_ms", initial),
            ("grpc.min_reconnect_backoff_ms", max(shortest, 10_000)),
            ("grpc.max_reconnect_backoff_ms", longest),
            ("grpc.max_receive_message_length", self._max_message),
            ("grpc.max_send_message_length", self._max_message),
            # A small message may expand to any size, so none is accepted compressed.
            ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_ONLY),
            ("grpc.per_message_decompression", 0),
        ]


def _trusted_roots() -> bytes:
    """Return the authorities that HTTP calls trust too."""
    return Path(os.environ.get("SSL_CERT_FILE") or certifi.where()).read_bytes()
