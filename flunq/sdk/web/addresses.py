"""Names become addresses here, for clients that make their own connections.

A client connects to an address that was checked, never to the name again: a name that resolves
differently a moment later gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
from socket import SOCK_STREAM
from typing import TYPE_CHECKING

from flunq.sdk.executor import TaskError

if TYPE_CHECKING:
    from flunq.sdk.egress import EgressPolicy


async def checked_addresses(host: str, port: int, policy: EgressPolicy) -> list[str]:
    """Return the addresses of a host that the policy allows, at least one; raises TaskError."""
    refusal = "it has no address"
    allowed: list[str] = []
    for address in await _resolve(host, port):
        problem = policy.refusal(address)
        if problem is None:
            allowed.append(address)
        else:
            refusal = problem
    if not allowed:
        detail = f"calls to {host} are refused: {refusal}"
        raise TaskError("authorization", 403, "The address is not allowed", detail)
    return allowed


async def _resolve(host: str, port: int) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host.strip("[]")))]
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        detail = f"the name {host} cannot be resolved: {error}"
        raise TaskError("communication", 503, "The server cannot be found", detail) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
