"""AsyncAPI documents, 2.x and 3.x: what an operation sends or receives, where, and how."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from flunq.sdk.executor import TaskError
from flunq.sdk.web.resources import shown

if TYPE_CHECKING:
    from flunq.sdk.web.documents import ParsedDocument

MAX_HOPS = 32
_DEFAULT_CONTENT_TYPE = "application/json"


class MessageType(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of message that a channel carries."""

    content_type: str
    payload: Any = None
    """A JSON Schema; None when there is none, or one in another language."""
    headers: Any = None
    correlation: str | None = None
    """The runtime expression that finds the correlation id."""
    bindings: dict[str, Any] = {}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation with the channel it works on, references resolved."""

    address: str
    """With its parameters in braces."""
    parameters: dict[str, Any]
    messages: tuple[MessageType, ...]
    servers: dict[str, dict[str, Any]]
    """Those that have the channel, in order of preference."""
    bindings: dict[str, Any]
    """By protocol: the channel's with the operation's over them."""
    content_type: str


class AsyncApiDocument:
    """Finds things in a document; a ``$ref`` leads to another place in the same document."""

    def __init__(self, document: ParsedDocument) -> None:
        self._uri = document.uri
        if not isinstance(document.value, dict):
            raise self.invalid("it is not an AsyncAPI document")
        self.root: dict[str, Any] = document.value
        version = str(self.root.get("asyncapi", ""))
        if version.partition(".")[0] not in ("2", "3"):
            raise self.invalid("it is neither AsyncAPI 2.x nor 3.x")
        self._is_v3 = version.startswith("3")

    def find(self, operation: str | None, channel: str | None, *, publishes: bool) -> Operation:
        """Return an operation by its name, or a channel's operation to publish or subscribe."""
        if self._is_v3:
            return self._v3(operation, channel)
        return self._v2(operation, channel, publishes=publishes)

    def schemes(self, server: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the security schemes of which a server wants one."""
        wanted = [name for entry in _list(server, "security") for name in self._names(entry)]
        return [scheme for scheme in map(self.resolve, wanted) if isinstance(scheme, dict)]

    def resolve(self, value: Any) -> Any:
        """Return what a reference leads to; anything else is returned as it is."""
        for _ in range(MAX_HOPS):
            reference = value.get("$ref") if isinstance(value, dict) else None
            if not isinstance(reference, str):
                return value
            if not reference.startswith("#"):
                raise self.invalid(f"its reference to {reference[:200]} leads out of the document")
            value = self._at(unquote(reference[1:]))
        raise self.invalid(f"more than {MAX_HOPS} references lead to one another")

    def invalid(self, problem: str) -> TaskError:
        """Return the error for a document that cannot be used."""
        detail = f"{shown(self._uri)}: {problem}"
        return TaskError("validation", 400, "The AsyncAPI document cannot be used", detail)

    def _at(self, pointer: str) -> Any:
        value: Any = self.root
        for token in pointer.split("/")[1:]:
            name = token.replace("~1", "/").replace("~0", "~")
            if isinstance(value, list) and name.isdecimal() and int(name[:9]) < len(value):
                value = value[int(name)]
            elif isinstance(value, dict) and name in value:
                value = value[name]
            else:
                raise self.invalid(f"there is nothing at #{pointer[:200]}")
        return value

    def _names(self, entry: Any) -> list[Any]:
        """Return the schemes of an entry of ``security``: names in 2.x, schemes in 3.x."""
        if self._is_v3:
            return [entry]
        components = self.object(self.root.get("components"))
        known = self.object(components.get("securitySchemes"))
        return [known.get(name) for name in entry] if isinstance(entry, dict) else []

    def object(self, value: Any) -> dict[str, Any]:
        """Return an object, behind a reference or not; an empty one for anything else."""
        resolved = self.resolve(value)
        return resolved if isinstance(resolved, dict) else {}

    def _member(self, table: str, name: str) -> dict[str, Any]:
        members = self.object(self.root.get(table))
        if name not in members:
            close = difflib.get_close_matches(name, list(members)[:2000], n=3)
            meant = f"; did you mean {' or '.join(close)}?" if close else ""
            raise self.invalid(f"it has no {table.removesuffix('s')} {name!r}{meant}")
        return self.object(members[name])

    # --- 3.x ----------------------------------------------------------------------------------

    def _v3(self, name: str | None, channel_name: str | None) -> Operation:
        if name is not None:
            operation = self._with_traits(self._member("operations", name))
            channel = self.object(operation.get("channel"))
        else:
            operation, channel = {}, self._member("channels", channel_name or "")
        address = channel.get("address")
        if not isinstance(address, str):
            raise self.invalid(f"the channel of {name or channel_name!r} has no address")
        messages = _list(operation, "messages") or list(
            self.object(channel.get("messages")).values()
        )
        return self._operation(address, channel, operation, messages)

    # --- 2.x ----------------------------------------------------------------------------------

    def _v2(self, name: str | None, channel_name: str | None, *, publishes: bool) -> Operation:
        channels = self.object(self.root.get("channels"))
        if name is not None:
            key, operation = self._v2_by_id(channels, name)
        else:
            key = channel_name or ""
            item = self._member("channels", key)
            wanted, other = ("publish", "subscribe") if publishes else ("subscribe", "publish")
            operation = self._with_traits(self.object(item.get(wanted) or item.get(other)))
        channel = self.object(channels[key])
        message = self.object(operation.get("message"))
        messages = _list(message, "oneOf") or ([message] if message else [])
        return self._operation(key, channel, operation, messages)

    def _v2_by_id(self, channels: dict[str, Any], name: str) -> tuple[str, dict[str, Any]]:
        for channel_name, value in channels.items():
            item = self.object(value)
            for kind in ("publish", "subscribe"):
                operation = self._with_traits(self.object(item.get(kind)))
                if operation.get("operationId") == name:
                    return channel_name, operation
        raise self.invalid(f"it has no operation {name!r}")

    # --- both ---------------------------------------------------------------------------------

    def _operation(
        self,
        address: str,
        channel: dict[str, Any],
        operation: dict[str, Any],
        messages: list[Any],
    ) -> Operation:
        default = self.root.get("defaultContentType")
        content_type = default if isinstance(default, str) else _DEFAULT_CONTENT_TYPE
        return Operation(
            address=address,
            parameters={
                name: self.object(value)
                for name, value in self.object(channel.get("parameters")).items()
            },
            messages=tuple(
                self._message(self._with_traits(self.object(message)), content_type)
                for message in messages
            ),
            servers=self._servers(channel),
            bindings=self._bindings(channel, operation),
            content_type=content_type,
        )

    def _servers(self, channel: dict[str, Any]) -> dict[str, dict[str, Any]]:
        known = {n: self.object(v) for n, v in self.object(self.root.get("servers")).items()}
        wanted = _list(channel, "servers")
        if not wanted:
            return known
        if not self._is_v3:
            return {str(name): known[str(name)] for name in wanted if str(name) in known}
        found = [self.object(entry) for entry in wanted]
        return {name: server for name, server in known.items() if server in found}

    def _bindings(self, *holders: dict[str, Any]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for holder in holders:
            for protocol, value in self.object(holder.get("bindings")).items():
                merged[protocol] = merged.get(protocol, {}) | self.object(value)
        return merged

    def _with_traits(self, value: dict[str, Any]) -> dict[str, Any]:
        """Merge the traits in: they win in 2.x, and lose in 3.x."""
        traits = [self.object(trait) for trait in _list(value, "traits")]
        if not traits:
            return value
        parts = [*traits, value] if self._is_v3 else [value, *traits]
        merged: dict[str, Any] = {}
        for part in parts:
            merged = _merged(merged, part, 0)
        return merged

    def _message(self, message: dict[str, Any], default: str) -> MessageType:
        content_type = message.get("contentType")
        location = self.object(message.get("correlationId")).get("location")
        payload = message.get("payload")
        schema_format = message.get("schemaFormat")
        if self._is_v3 and isinstance(payload, dict) and "schemaFormat" in payload:
            schema_format, payload = payload["schemaFormat"], payload.get("schema")
        return MessageType(
            content_type=content_type if isinstance(content_type, str) else default,
            payload=payload if _is_json_schema(schema_format) else None,
            headers=message.get("headers"),
            correlation=location if isinstance(location, str) else None,
            bindings=self._bindings(message),
        )


def _is_json_schema(schema_format: Any) -> bool:
    if not isinstance(schema_format, str):
        return True
    return schema_format.startswith(("application/vnd.aai.asyncapi", "application/schema"))


def _list(value: dict[str, Any], name: str) -> list[Any]:
    members = value.get(name)
    return members if isinstance(members, list) else []


def _merged(below: dict[str, Any], above: dict[str, Any], depth: int) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        if isinstance(old, dict) and isinstance(value, dict) and depth < MAX_HOPS:
            merged[name] = _merged(old, value, depth + 1)
        else:
            merged[name] = value
    return merged
