"""OAuth 2 and OpenID Connect: what is asked of a token endpoint, and what it answers."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec

from flunq.sdk.executor import TaskError
from flunq.sdk.web import jwt
from flunq.sdk.web.authentication import unusable
from flunq.sdk.web.client import Outgoing, Reply, parse_url
from flunq.sdk.web.resources import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.sdk.web.client import HttpClient

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
DEFAULT_LIFE = 300.0
"""Seconds that a token is kept when nobody says how long it is good."""
MARGIN = 30.0
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_DISCOVERY = "/.well-known/openid-configuration"
_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_MAX_REPLY = 1024 * 1024
_PARAMETERS = dict[str, str | list[str]]


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An access token, and what to do when it has expired."""

    value: str
    until: float
    """When it is renewed, on the monotonic clock."""
    refresh: str | None = None

    def __repr__(self) -> str:
        return "Token()"


class TokenSource:
    """Gets tokens as one policy says."""

    def __init__(self, scheme: str, members: dict[str, Any], client: HttpClient) -> None:
        self._members = members
        self._client = client
        self._discovers = scheme == "oidc"
        self._authority = _text(members, "authority")
        self._grant = _text(members, "grant")
        self._party = _object(members, "client")
        encoding = _object(members, "request").get("encoding") or _FORM
        if encoding not in (_FORM, _JSON):
            raise unusable(f"request.encoding is {_FORM} or {_JSON}")
        self._encode: Callable[[_PARAMETERS], bytes] = _json if encoding == _JSON else _form
        self._encoding = encoding

    async def token(self, known: Token | None) -> Token:
        """Return a new token; one that can be refreshed is, unless the server refuses."""
        if known is not None and known.refresh is not None:
            try:
                return await self._request(_refreshing(known.refresh), known.refresh)
            except TaskError as error:
                if error.status != 401:
                    raise
        return await self._request(self._granted(), None)

    async def _request(self, parameters: _PARAMETERS, refresh: str | None) -> Token:
        endpoint = await self._endpoint()
        headers = {
            "accept": _JSON,
            "accept-encoding": "gzip, deflate",
            "content-type": self._encoding,
            "user-agent": "flunq",
        }
        self._identify(endpoint, parameters, headers)
        parameters |= _scope(self._members)
        request = Outgoing("POST", parse_url(endpoint), headers, self._encode(parameters))
        reply = await self._client.send(request, max_body=_MAX_REPLY)
        return self._read(reply, endpoint, refresh)

    async def _endpoint(self) -> str:
        if self._discovers:
            return await self._discovered()
        endpoints = _object(self._members, "endpoints")
        return _joined(self._authority, endpoints.get("token") or "/oauth2/token")

    async def _discovered(self) -> str:
        base = self._authority.rstrip("/")
        uri = base if base.endswith(_DISCOVERY) else base + _DISCOVERY
        headers = {"accept": _JSON, "accept-encoding": "gzip, deflate", "user-agent": "flunq"}
        request = Outgoing("GET", parse_url(uri), headers)
        reply = await self._client.send(request, follow=True, max_body=_MAX_REPLY)
        if reply.status >= 300:
            raise _unavailable(uri, reply)
        endpoint = (_members(reply) or {}).get("token_endpoint")
        if not isinstance(endpoint, str):
            raise refused(f"{shown(uri)} names no token_endpoint")
        return endpoint

    def _granted(self) -> _PARAMETERS:
        members = self._members
        parameters: _PARAMETERS = {"grant_type": self._grant}
        if self._grant == "password":
            parameters["username"] = _text(members, "username")
            parameters["password"] = _text(members, "password")
        elif self._grant == "refresh_token":
            parameters |= _refreshing(_given(members, "refreshToken"))
        elif self._grant == "authorization_code":
            parameters["code"] = _given(members, "code")
            parameters |= _optional(members, redirect_uri="redirectUri")
            parameters |= _optional(members, code_verifier="codeVerifier")
        elif self._grant == TOKEN_EXCHANGE:
            parameters |= _party(members, "subject")
            parameters |= _party(members, "actor") if members.get("actor") else {}
        elif self._grant != "client_credentials":
            raise unusable(f"there is no grant {self._grant!r}")
        return parameters

    def _identify(self, endpoint: str, parameters: _PARAMETERS, headers: dict[str, str]) -> None:
        """Say which client asks, and prove it."""
        party = self._party
        method = party.get("authentication") or "client_secret_post"
        if not party or (method == "none" and not party.get("id")):
            return
        client = _text(party, "id", "client.id")
        if method == "client_secret_basic":
            pair = f"{quote_plus(client)}:{quote_plus(_text(party, 'secret', 'client.secret'))}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            return
        parameters["client_id"] = client
        if method == "client_secret_post":
            parameters |= _optional(party, client_secret="secret")  # noqa: S106 - a name
        elif method in ("client_secret_jwt", "private_key_jwt"):
            parameters["client_assertion_type"] = _JWT_BEARER
            parameters["client_assertion"] = _assertion(method, party, client, endpoint)
        elif method != "none":
            raise unusable(f"there is no client authentication {method!r}")

    def _read(self, reply: Reply, endpoint: str, refresh: str | None) -> Token:
        if reply.status >= 500 or reply.status == 429:
            raise _unavailable(endpoint, reply)
        members = _members(reply)
        if not 200 <= reply.status < 300:
            raise refused(self._refusal(endpoint, reply, members or {}))
        token = (members or {}).get("access_token")
        if members is None or not isinstance(token, str) or not _sendable(token):
            raise refused(f"{shown(endpoint)} answered without an access_token")
        kind = members.get("token_type") or "Bearer"
        if str(kind).lower() != "bearer":
            raise refused(f"{shown(endpoint)} issues tokens of an unknown type, not Bearer")
        self._check_issuer(token, members.get("id_token"))
        renewed = members.get("refresh_token")
        return Token(
            value=token,
            until=time.monotonic() + life_of(members.get("expires_in"), token, time.time()),
            refresh=renewed if isinstance(renewed, str) and renewed else refresh,
        )

    def _check_issuer(self, token: str, identity: Any) -> None:
        issuers = self._members.get("issuers")
        if not issuers:
            return
        claims = jwt.claims_of(token)
        if claims is None and isinstance(identity, str):
            claims = jwt.claims_of(identity)
        if claims is not None and claims.get("iss") not in issuers:
            raise refused("the token was issued by none of the policy's issuers")

    def _refusal(self, endpoint: str, reply: Reply, members: dict[str, Any]) -> str:
        said = [members.get("error"), members.get("error_description")]
        text = ": ".join(part for part in said if isinstance(part, str) and part)
        text = _without(text, _secrets(self._members))[:200]
        detail = f"{shown(endpoint)} refused the grant {self._grant} with {reply.status}"
        return f"{detail}: {text}" if text else detail


def refused(detail: str) -> TaskError:
    """Return the error for a token that was not granted."""
    return TaskError("authentication", 401, "No access token", detail)


def _unavailable(uri: str, reply: Reply) -> TaskError:
    detail = f"{shown(uri)} answered {reply.status}"
    return TaskError("communication", reply.status, "No access token", detail)


def _members(reply: Reply) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def life_of(seconds: Any, token: str, now: float) -> float:
    """Return for how long a token is used: a little less than it is good."""
    try:
        life = float(seconds)
    except (TypeError, ValueError):
        expires = (jwt.claims_of(token) or {}).get("exp")
        life = expires - now if isinstance(expires, (int, float)) else DEFAULT_LIFE
    return max(0.0, life - min(MARGIN, life / 4))


def _sendable(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable()


def _assertion(method: str, party: dict[str, Any], client: str, endpoint: str) -> str:
    if party.get("assertion"):
        return _text(party, "assertion", "client.assertion")
    secret = _text(party, "secret", "client.assertion or a client.secret to sign with")
    signer = jwt.shared_secret if method == "client_secret_jwt" else jwt.private_key
    return jwt.client_assertion(client, endpoint, signer(secret))


def _refreshing(token: str) -> _PARAMETERS:
    return {"grant_type": "refresh_token", "refresh_token": token}


def _given(members: dict[str, Any], name: str) -> str:
    """Return a code or token that the language has no member for: ``subject`` can carry it."""
    value = members.get(name) or _object(members, "subject").get("token")
    if not isinstance(value, str) or not value:
        raise unusable(f"the grant needs subject.token, or {name} in a secret")
    return value


def _party(members: dict[str, Any], name: str) -> _PARAMETERS:
    party = _object(members, name)
    return {
        f"{name}_token": _text(party, "token", f"{name}.token"),
        f"{name}_token_type": _text(party, "type", f"{name}.type"),
    }


def _scope(members: dict[str, Any]) -> _PARAMETERS:
    scopes, audiences = _texts(members, "scopes"), _texts(members, "audiences")
    parameters: _PARAMETERS = {"scope": " ".join(scopes)} if scopes else {}
    if audiences:
        parameters["audience"] = audiences if len(audiences) > 1 else audiences[0]
    return parameters


def _optional(members: dict[str, Any], **names: str) -> _PARAMETERS:
    return {
        parameter: _text(members, member)
        for parameter, member in names.items()
        if members.get(member)
    }


def _form(parameters: _PARAMETERS) -> bytes:
    return urlencode(parameters, doseq=True).encode()


def _json(parameters: _PARAMETERS) -> bytes:
    return msgspec.json.encode(parameters)


def _joined(authority: str, path: Any) -> str:
    """Append an endpoint's path to the authority, which may have a path of its own."""
    if not isinstance(path, str):
        raise unusable("endpoints.token must be a path")
    if urlsplit(path).scheme in ("http", "https"):
        return path
    return f"{authority.rstrip('/')}/{path.lstrip('/')}"


def _texts(members: dict[str, Any], name: str) -> list[str]:
    value = members.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise unusable(f"{name} must be a list of texts")
    return value


def _object(members: dict[str, Any], name: str) -> dict[str, Any]:
    value = members.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise unusable(f"{name} must be an object")
    return value


def _text(members: dict[str, Any], name: str, shown_as: str | None = None) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise unusable(f"it needs {shown_as or name}")
    return value


def _secrets(value: Any) -> list[str]:
    """Return the texts of a policy that a server might quote and nobody should see."""
    if isinstance(value, dict):
        return [
            text
            for name, member in value.items()
            for text in _secrets(member)
            if not isinstance(member, str) or name in _SECRET_MEMBERS
        ]
    return [value] if isinstance(value, str) else []


_SECRET_MEMBERS = frozenset(
    {"secret", "password", "token", "assertion", "code", "codeVerifier", "refreshToken"}
)


def _without(text: str, secrets: list[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "[redacted]")
    return text
