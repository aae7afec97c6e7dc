"""Where a call goes: the server, its variables, the channel's address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec

from flunq.sdk.executor import TaskError
from flunq.sdk.web.forms import plain_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq_plugins.asyncapi_document import AsyncApiDocument, Operation

_VARIABLE = re.compile(r"\{([^{}]*)\}")
_HOST = re.compile(r"[\w.~-]+|\[[0-9A-Fa-f:.]+\]", re.ASCII)
_SECURE = {
    "https": "http",
    "wss": "ws",
    "mqtts": "mqtt",
    "secure-mqtt": "mqtt",
    "amqps": "amqp",
    "kafka-secure": "kafka",
    "tls": "nats",
}
_PORTS = {"http": (80, 443), "ws": (80, 443), "mqtt": (1883, 8883), "nats": (4222, 4222)}
_WEB = frozenset({"http", "ws"})


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection leads to, and the channel on it."""

    protocol: str
    secure: bool
    host: str
    port: int
    path: str
    """Of the server's URL, without a slash at its end."""
    channel: str
    """The channel's address, its parameters filled in."""

    @property
    def where(self) -> str:
        """Return the place for messages."""
        return f"{self.channel} at {self.protocol}://{self.host}:{self.port}"

    def url(self) -> str:
        """Return the address of the channel for protocols of the web."""
        scheme = f"{self.protocol}s" if self.secure else self.protocol
        channel = self.channel.lstrip("/")
        return f"{scheme}://{self.host}:{self.port}{self.path}/{channel}"


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What the call says about the server."""

    name: str | None = None
    variables: dict[str, Any] = {}
    protocol: str | None = None


def family(protocol: Any) -> str:
    """Return the protocol without its encryption."""
    text = str(protocol).lower()
    return _SECURE.get(text, text)


def choose_server(
    document: AsyncApiDocument, operation: Operation, selection: Selection
) -> dict[str, Any]:
    """Return the server by its name, else the first with the protocol, else the first."""
    servers = operation.servers
    if selection.name is not None:
        if selection.name not in servers:
            raise document.invalid(
                f"the channel has no server {selection.name!r}; it has: "
                f"{', '.join(servers) or 'none'}"
            )
        return servers[selection.name]
    for server in servers.values():
        if selection.protocol in (None, server.get("protocol"), family(server.get("protocol"))):
            return server
    wanted = f" that speaks {selection.protocol}" if selection.protocol else ""
    raise document.invalid(f"the channel has no server{wanted}")


def locate(
    document: AsyncApiDocument,
    operation: Operation,
    server: dict[str, Any],
    selection: Selection,
    find: Callable[[str], Any],
) -> Target:
    """Return where the call goes; ``find`` looks into the message for a channel's parameter."""
    protocol = str(server.get("protocol", "")).lower()
    variables = _Filling(document, server, selection.variables)
    scheme, host, port, path = _split(document, server, variables)
    plain = family(protocol)
    secure = protocol in _SECURE or scheme in _SECURE
    ports = _PORTS.get(plain, (0, 0))
    return Target(
        protocol=plain,
        secure=secure,
        host=host,
        port=port or ports[secure],
        path=path.rstrip("/"),
        channel=_address(document, operation, plain, selection.variables, find),
    )


def _split(
    document: AsyncApiDocument, server: dict[str, Any], filling: _Filling
) -> tuple[str, str, int, str]:
    """Return scheme, host, port and path: one URL in 2.x, its parts in 3.x."""
    url = server.get("url")
    if isinstance(url, str):
        text = filling.text(url)
        text = text if "://" in text else f"//{text}"
    else:
        host = server.get("host")
        path = filling.text(str(server.get("pathname") or ""))
        text = f"//{filling.text(str(host or ''))}{'/' if path else ''}{path.lstrip('/')}"
    try:
        parts = urlsplit(text)
        port = parts.port or 0
    except ValueError as error:
        raise document.invalid(f"the server's address makes no sense: {error}") from error
    netloc = parts.netloc.rpartition("@")[2]
    host = netloc if not parts.port else netloc.rpartition(":")[0]
    if not _HOST.fullmatch(host):
        raise document.invalid("the server has no host")
    return parts.scheme, host, port, parts.path


class _Filling:
    """Fills in the variables of a server: what the call says, or else the default."""

    def __init__(
        self, document: AsyncApiDocument, server: dict[str, Any], values: dict[str, Any]
    ) -> None:
        self._document = document
        self._variables = document.object(server.get("variables"))
        self._values = values

    def text(self, template: str) -> str:
        return _VARIABLE.sub(lambda found: self._value(found.group(1)), template)

    def _value(self, name: str) -> str:
        variable = self._document.object(self._variables.get(name))
        if name not in self._values:
            if "default" not in variable:
                raise _missing(f"the server's variable {name!r} has no default")
            return plain_text(variable["default"])
        value = plain_text(self._values[name])
        allowed = variable.get("enum")
        if isinstance(allowed, list) and value not in [plain_text(item) for item in allowed]:
            raise _missing(f"{value!r} is not among the values of the server's {name!r}")
        if not re.fullmatch(r"[\w.~:-]+", value):
            raise _missing(f"{value!r} cannot be the server's {name!r}")
        return value


def _address(
    document: AsyncApiDocument,
    operation: Operation,
    protocol: str,
    values: dict[str, Any],
    find: Callable[[str], Any],
) -> str:
    """Fill in the channel's parameters: from the call, the message or the default."""

    def fill(found: re.Match[str]) -> str:
        name = found.group(1)
        parameter = operation.parameters.get(name, {})
        value = values.get(name)
        if value is None and isinstance(parameter.get("location"), str):
            value = find(parameter["location"])
        if value is None:
            schema = document.object(parameter.get("schema"))
            value = parameter.get("default", schema.get("default"))
        if value is None or isinstance(value, (dict, list)):
            raise _missing(
                f"the channel's parameter {name!r} has no value: give it in server.variables"
            )
        return _part(name, plain_text(value), protocol)

    return _VARIABLE.sub(fill, operation.address)


def _part(name: str, value: str, protocol: str) -> str:
    """Return a parameter's value so that it cannot change what surrounds it."""
    if protocol in _WEB:
        return quote(value, safe="")
    if not value or not value.isprintable() or any(char in " *>+#/" for char in value):
        raise _missing(f"{value!r} cannot be the channel's {name!r}")
    return value


def _missing(problem: str) -> TaskError:
    return TaskError("validation", 400, "Not a valid AsyncAPI call", problem)
