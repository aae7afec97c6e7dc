"""Messages of AsyncAPI operations: to bytes and back, checked against the document's schemas."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import msgspec

from flunq.sdk.executor import JSON, TaskError
from flunq.sdk.web.body import decode_body, encode_body
from flunq.sdk.web.forms import plain_text

if TYPE_CHECKING:
    from flunq_plugins.asyncapi_document import AsyncApiDocument, MessageType, Operation

_CHECKED = "flunq:checked"
_KEPT = 128


class Outbound(msgspec.Struct, frozen=True, kw_only=True):
    """A message to publish."""

    body: bytes
    content_type: str
    headers: dict[str, str]
    key: str
    """The idempotency key."""
    traceparent: str | None = None


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """A message that came in."""

    body: bytes
    content_type: str | None = None
    """None when the protocol does not say."""
    headers: dict[str, str] = {}


class Validators:
    """Compiled schemas of documents, those used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Any] = OrderedDict()

    def complaint(self, document: AsyncApiDocument, schema: Any, value: Any) -> str | None:
        """Return what is wrong with a value, None if it fits."""
        key = msgspec.json.encode([id(document.root), schema])
        kept = self._kept.get(key)
        if kept is None or kept[0] is not document.root:
            kept = self._kept[key] = (document.root, _compiled(document, schema))
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        error = next(kept[1].iter_errors(value), None)
        if error is None:
            return None
        where = "/".join(str(part) for part in error.instance_path)
        return f"{error.message} (at /{where})" if where else str(error.message)


def _compiled(document: AsyncApiDocument, schema: Any) -> Any:
    """Compile a schema inside its document, so that its references lead somewhere."""
    whole = {**document.root, _CHECKED: schema, "$ref": f"#/{_CHECKED}"}
    try:
        return jsonschema_rs.Draft7Validator(whole, retriever=_refuse)
    except (ValueError, TypeError) as error:
        reason = getattr(error, "message", str(error))
        raise document.invalid(f"the schema of a message is not valid: {reason}") from error


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is outside of the document")


class Codec:
    """Makes and reads the messages of one operation."""

    def __init__(
        self, document: AsyncApiDocument, operation: Operation, validators: Validators
    ) -> None:
        self._document = document
        self._operation = operation
        self._validators = validators

    def encode(self, message: dict[str, Any], key: str, traceparent: str | None) -> Outbound:
        """Return a message for the wire; raises a ``validation`` TaskError."""
        payload, headers = message.get("payload"), message.get("headers")
        headers = {} if headers is None else headers
        if not isinstance(headers, dict):
            raise _invalid("the headers of a message must be an object")
        kind = self._checked(payload, headers, has_payload="payload" in message)
        content_type = self._operation.content_type if kind is None else kind.content_type
        body, _ = encode_body(payload, content_type)
        texts = {name: plain_text(value) for name, value in headers.items() if value is not None}
        if not all(text.isprintable() and name.isprintable() for name, text in texts.items()):
            raise _invalid("the headers of a message must be printable")
        return Outbound(
            body=body, content_type=content_type, headers=texts, key=key, traceparent=traceparent
        )

    def decode(self, inbound: Inbound) -> dict[str, JSON]:
        """Return a message as expressions see it: payload, headers, correlation id."""
        kinds = self._operation.messages
        fallback = kinds[0].content_type if kinds else self._operation.content_type
        payload = decode_body(inbound.body, inbound.content_type or fallback)
        message: dict[str, JSON] = {"payload": payload, "headers": dict(inbound.headers)}
        for kind in kinds:
            correlation = located(kind.correlation, message) if kind.correlation else None
            if correlation is not None:
                message["correlationId"] = plain_text(correlation)
                break
        return message

    def _checked(
        self, payload: Any, headers: dict[str, Any], *, has_payload: bool
    ) -> MessageType | None:
        """Return the kind of message that this is: the first whose schemas it meets."""
        problems: list[str] = []
        for kind in self._operation.messages:
            problem = self._complaint(kind.headers, headers, "headers")
            if problem is None and has_payload:
                problem = self._complaint(kind.payload, payload, "payload")
            if problem is None:
                return kind
            problems.append(problem)
        if problems:
            raise _invalid("; ".join(problems[:3]))
        return None

    def _complaint(self, schema: Any, value: Any, what: str) -> str | None:
        if schema is None:
            return None
        complaint = self._validators.complaint(self._document, schema, value)
        return None if complaint is None else f"{what}: {complaint}"


def located(expression: str, message: dict[str, Any]) -> Any:
    """Return what a runtime expression of AsyncAPI (``$message.payload#/id``) finds, or None."""
    source, _, pointer = expression.partition("#")
    part = {"$message.payload": "payload", "$message.header": "headers"}.get(source.strip())
    value = message.get(part) if part else None
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name[:9]) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def _invalid(problem: str) -> TaskError:
    return TaskError("validation", 400, "Not a valid message", problem)
