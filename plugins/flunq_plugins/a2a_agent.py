"""Where an agent is and how it lets one in: its card, or the address that a document gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import msgspec

from flunq.sdk.executor import TaskError
from flunq.sdk.web.authentication import NO_CREDENTIALS, Credentials, credentials
from flunq.sdk.web.documents import load_document
from flunq.sdk.web.shared import http_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.sdk.context import TaskContext

_TRANSPORT = "JSONRPC"


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests go and what they carry."""

    url: str
    headers: dict[str, str] = {}
    auth: Any = None
    """An ``httpx.Auth``, where the policy needs one."""


async def find_agent(arguments: dict[str, Any], context: TaskContext) -> Agent:
    """Return the agent that a call means; a card counts more than an address."""
    card = arguments.get("agentCard")
    if card is not None:
        return await _by_card(card, context)
    server: Any = arguments.get("server")
    policy = None
    if isinstance(server, dict):
        server, policy = server.get("uri"), server.get("authentication")
    if not isinstance(server, str) or not server:
        raise _invalid("one of agentCard and server has to say where the agent is")
    granted = await _granted(policy, context)
    return Agent(url=server, headers=granted.headers, auth=granted.auth)


async def _by_card(resource: Any, context: TaskContext) -> Agent:
    document = await load_document(resource, context)
    card = document.value
    if not isinstance(card, dict):
        raise _unusable("it is no object")
    url = urljoin(document.uri, _address(card)) if _is_web(document.uri) else _address(card)
    if not _is_web(url):
        raise _unusable(f"its address {url[:200]!r} is neither http nor https")
    policy = _policy(resource)
    if policy is None or not _trusts(document.uri, url):
        return Agent(url=url)
    granted = await _granted(policy, context)
    return _with_key(card, Agent(url=url, headers=granted.headers, auth=granted.auth), granted)


def _address(card: dict[str, Any]) -> str:
    """Return where the agent speaks JSON-RPC."""
    for interface in _interfaces(card):
        url = interface.get("url")
        transport = interface.get("transport") or interface.get("protocolBinding") or _TRANSPORT
        if isinstance(url, str) and url and str(transport).upper() == _TRANSPORT:
            return url
    raise _unusable(f"it names no address for {_TRANSPORT}")


def _interfaces(card: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"url": card.get("url"), "transport": card.get("preferredTransport")}
    for name in ("additionalInterfaces", "supportedInterfaces"):
        listed = card.get(name)
        for interface in listed if isinstance(listed, list) else ():
            if isinstance(interface, dict):
                yield interface


def _policy(resource: Any) -> Any:
    endpoint = resource.get("endpoint") if isinstance(resource, dict) else None
    return endpoint.get("authentication") if isinstance(endpoint, dict) else None


def _trusts(card: str, agent: str) -> bool:
    """Tell whether credentials for the card may go to the agent.

    A card from the web must not send them to another host; a card that belongs to the document
    speaks for its author.
    """
    return not _is_web(card) or _origin(card) == _origin(agent)


def _origin(uri: str) -> tuple[str, str, int | None]:
    parts = urlsplit(uri)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", parts.port or default


def _is_web(uri: str) -> bool:
    return uri.lower().startswith(("http://", "https://"))


async def _granted(policy: Any, context: TaskContext) -> Credentials:
    if policy is None:
        return NO_CREDENTIALS
    return await credentials(policy, context, await http_client(context))


def _with_key(card: dict[str, Any], agent: Agent, granted: Credentials) -> Agent:
    """Put a bearer token where the card wants an API key: the language has no policy for one."""
    scheme = _key_scheme(card)
    if scheme is None or granted.scheme != "Bearer":
        return agent
    name, key = str(scheme.get("name") or ""), granted.parameter
    match scheme.get("in"):
        case "header":
            return msgspec.structs.replace(agent, headers={name.lower(): key}, auth=None)
        case "cookie":
            return msgspec.structs.replace(agent, headers={"cookie": f"{name}={key}"}, auth=None)
        case "query":
            return msgspec.structs.replace(agent, url=_queried(agent.url, name, key), headers={})
        case _:
            return agent


def _queried(url: str, name: str, key: str) -> str:
    import httpx

    return str(httpx.URL(url).copy_merge_params({name: key}))


def _key_scheme(card: dict[str, Any]) -> dict[str, Any] | None:
    """Return the API key scheme that the card asks for, if it asks for one."""
    schemes = card.get("securitySchemes")
    wanted = card.get("security")
    if not isinstance(schemes, dict) or not isinstance(wanted, list):
        return None
    for requirement in wanted:
        for name in requirement if isinstance(requirement, dict) else ():
            scheme = schemes.get(name)
            if isinstance(scheme, dict) and scheme.get("type") == "apiKey" and scheme.get("name"):
                return scheme
    return None


def _invalid(problem: str) -> TaskError:
    return TaskError("validation", 400, "Not a valid A2A call", problem)


def _unusable(problem: str) -> TaskError:
    return TaskError(
        "configuration", 400, "The agent card cannot be used", f"the agent card: {problem}"
    )
