"""Authentication policies on protocols: as headers, a user and a password, or a token."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.sdk.executor import TaskError
from flunq.sdk.web.authentication import Credentials, credentials
from flunq.sdk.web.shared import http_client

if TYPE_CHECKING:
    from flunq.sdk.context import TaskContext


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """What lets a call in; a protocol takes the members that it knows."""

    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    auth: Any = None
    """An ``httpx.Auth``."""
    username: str | None = None
    password: str | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return "Access(...)"


async def access_for(policy: Any, schemes: list[dict[str, Any]], context: TaskContext) -> Access:
    """Return what a policy grants, in the way that the server's security schemes want it."""
    if policy is None:
        return Access()
    granted = await credentials(policy, context, await http_client(context))
    if granted.scheme == "Bearer":
        return _with_token(granted, schemes)
    if granted.scheme == "Basic":
        username, _, password = base64.b64decode(granted.parameter).decode().partition(":")
        return Access(headers=granted.headers, username=username, password=password)
    return Access(headers=granted.headers, auth=granted.auth)


def _with_token(granted: Credentials, schemes: list[dict[str, Any]]) -> Access:
    token = granted.parameter
    for scheme in schemes:
        place, name = scheme.get("in"), scheme.get("name")
        if scheme.get("type") == "httpApiKey" and isinstance(name, str):
            if place == "query":
                return Access(query={name: token})
            header = {"cookie": f"{name}={token}"} if place == "cookie" else {name.lower(): token}
            return Access(headers=header)
        if scheme.get("type") == "apiKey":
            if place == "user":
                return Access(username=token, password="")
            return Access(username="", password=token)
    return Access(headers=granted.headers, auth=granted.auth, token=token)


def refuse_challenges(access: Access, protocol: str) -> None:
    """Raise TaskError for a policy that only HTTP can follow."""
    if access.auth is not None and not access.headers:
        raise TaskError(
            "configuration",
            400,
            "The authentication policy cannot be used",
            f"{protocol} cannot answer the challenges of digest authentication",
        )
