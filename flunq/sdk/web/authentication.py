"""Authentication policies of the DSL: what a request carries to be let in."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.sdk.executor import TaskError

if TYPE_CHECKING:
    from flunq.sdk.context import TaskContext
    from flunq.sdk.web.client import HttpClient

SCHEMES = ("basic", "bearer", "digest", "oauth2", "oidc")


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy came to for one call."""

    headers: dict[str, str] = {}
    """Headers, in lower case, that let the first request in."""
    auth: Any = None
    """An ``httpx.Auth`` for what takes more than one request: challenges, renewed tokens."""
    scheme: str = ""
    """``Basic``, ``Bearer`` or ``Digest``: the DSL's ``$authorization.scheme``."""
    parameter: str = ""
    """What follows the scheme in the header; nothing where the server is asked first."""

    def __repr__(self) -> str:
        return f"Credentials({self.scheme or 'none'})"


NO_CREDENTIALS = Credentials()


async def credentials(policy: Any, context: TaskContext, client: HttpClient) -> Credentials:
    """Return what a policy grants; its members are inline or in a secret (``{use: name}``)."""
    if policy is None:
        return NO_CREDENTIALS
    granted = await _granted(policy, context, client)
    if granted.parameter:
        context.conceal(granted.parameter)
    return granted


async def _granted(policy: Any, context: TaskContext, client: HttpClient) -> Credentials:
    scheme, members = _scheme(policy, context)
    if scheme == "basic":
        return basic(*_user(members, scheme))
    if scheme == "bearer":
        return bearer(_text(members, "token", scheme))
    if scheme in ("oauth2", "oidc"):
        from flunq.sdk.web.tokens import with_token

        return await with_token(scheme, members, context, client)
    return _digest(*_user(members, scheme))


def basic(username: str, password: str) -> Credentials:
    """Return the credentials of a name and a password."""
    return _authorization("Basic", base64.b64encode(f"{username}:{password}".encode()).decode())


def bearer(token: str, auth: Any = None) -> Credentials:
    """Return the credentials of a token."""
    return _authorization("Bearer", token, auth)


def _authorization(scheme: str, parameter: str, auth: Any = None) -> Credentials:
    if not (parameter.isascii() and parameter.isprintable()):
        raise unusable(f"the {scheme} credentials hold characters that no header can carry")
    headers = {"authorization": f"{scheme} {parameter}"}
    return Credentials(headers=headers, auth=auth, scheme=scheme, parameter=parameter)


def _digest(username: str, password: str) -> Credentials:
    import httpx

    return Credentials(auth=httpx.DigestAuth(username, password), scheme="Digest")


def _scheme(policy: Any, context: TaskContext) -> tuple[str, dict[str, Any]]:
    if not isinstance(policy, dict):
        raise unusable(f"it is not an object but {type(policy).__name__}")
    for scheme in SCHEMES:
        members = policy.get(scheme)
        if members is not None:
            return scheme, _members(scheme, members, context)
    if isinstance(policy.get("use"), str):
        raise unusable(f"use.authentications has no policy {policy['use']!r}")
    raise unusable(f"{', '.join(policy) or 'an empty policy'} is none of {', '.join(SCHEMES)}")


def _members(scheme: str, members: Any, context: TaskContext) -> dict[str, Any]:
    what = f"{scheme} authentication"
    secret = members.get("use") if isinstance(members, dict) else None
    if isinstance(secret, str):
        members = context.secrets.resolve(secret)
        what = f"the secret {secret!r}"
    if not isinstance(members, dict):
        raise unusable(f"{what} must be an object")
    return members


def _user(members: dict[str, Any], scheme: str) -> tuple[str, str]:
    """Return name and password; many services take a key as the name, and no password."""
    password = members.get("password")
    if not isinstance(password, str):
        raise unusable(f"{scheme} authentication needs a password")
    return _text(members, "username", scheme), password


def _text(members: dict[str, Any], name: str, scheme: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise unusable(f"{scheme} authentication needs a {name}")
    return value


def unusable(problem: str) -> TaskError:
    """Return the error for a policy that makes no sense."""
    title = "The authentication policy cannot be used"
    return TaskError("configuration", 400, title, problem)
