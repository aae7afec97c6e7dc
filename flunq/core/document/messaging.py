"""Compiles ``call: grpc`` and ``call: asyncapi``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.document import policies
from flunq.core.document.listening import Stage, compile_iterator
from flunq.core.document.model import Call, PerMessage, Subscription

if TYPE_CHECKING:
    from collections.abc import Callable

    PutInPlace = Callable[[dict[str, Any]], dict[str, Any]]
    """Puts a reusable authentication policy in place of its name."""

_LIFETIME = ("while", "until")


def compile_grpc(definition: dict[str, Any], put: PutInPlace) -> Call:
    """Compile a call of a gRPC method; whether it is encrypted stands in the metadata."""
    arguments = _with_resource(definition.get("with") or {}, "proto", put)
    service = arguments.get("service")
    if isinstance(service, dict):
        arguments = {**arguments, "service": put(service)}
    hints = (definition.get("metadata") or {}).get("grpc")
    if isinstance(hints, dict) and isinstance(hints.get("tls"), bool):
        arguments = {**arguments, "tls": hints["tls"]}
    return Call(
        executor="grpc",
        arguments=policies.template(arguments),
        uri_path=_template_path(arguments, "proto"),
    )


def compile_asyncapi(definition: dict[str, Any], put: PutInPlace) -> Call:
    """Compile a call of an operation; expressions about messages wait for the messages."""
    arguments = put(_with_resource(definition.get("with") or {}, "document", put))
    subscription = arguments.get("subscription")
    uri_path = _template_path(arguments, "document")
    if not isinstance(subscription, dict):
        template = policies.template(arguments)
        return Call(executor="asyncapi", arguments=template, uri_path=uri_path)
    consume = subscription.get("consume") or {}
    rest = {name: value for name, value in consume.items() if name not in _LIFETIME}
    arguments = {**arguments, "subscription": {"consume": rest}}
    texts = {name: consume[name] for name in _LIFETIME if name in consume}
    if "filter" in subscription:
        texts["filter"] = subscription["filter"]
    return Call(
        executor="asyncapi",
        arguments=policies.template(arguments),
        uri_path=uri_path,
        per_message=_per_message({name: str(text) for name, text in texts.items()}),
    )


def foreach_of(definition: dict[str, Any]) -> dict[str, Any] | None:
    """Return the ``foreach`` of a subscription, None when the call has none."""
    arguments = definition.get("with")
    if definition.get("call") != "asyncapi" or not isinstance(arguments, dict):
        return None
    foreach = (arguments.get("subscription") or {}).get("foreach")
    return foreach if isinstance(foreach, dict) else None


def iterating(call: Call, definition: dict[str, Any], first: str, stage: Stage) -> Subscription:
    """Make a call that works on each message: it looks at ``while`` and ``until`` itself."""
    subscription = definition["with"]["subscription"]
    consume = subscription.get("consume") or {}
    foreach = compile_iterator(subscription["foreach"], first, stage)
    assert foreach is not None
    texts = {} if call.per_message is None else call.per_message.texts
    return Subscription(
        executor=call.executor,
        arguments=call.arguments,
        uri_path=call.uri_path,
        per_message=_per_message({n: text for n, text in texts.items() if n not in _LIFETIME}),
        foreach=foreach,
        amount=consume.get("amount"),
        condition=policies.condition(consume.get("while")),
        until=policies.condition(consume.get("until")),
        length=policies.optional_duration(consume.get("for")),
    )


def _with_resource(arguments: dict[str, Any], name: str, put: PutInPlace) -> dict[str, Any]:
    """Put the policy of an external resource in place."""
    resource = arguments.get(name)
    endpoint = resource.get("endpoint") if isinstance(resource, dict) else None
    if not isinstance(resource, dict) or not isinstance(endpoint, dict):
        return arguments
    return {**arguments, name: {**resource, "endpoint": put(endpoint)}}


def _template_path(arguments: dict[str, Any], name: str) -> tuple[str, ...]:
    """Return where the URI template of an external resource stands, nothing without one."""
    path: tuple[str, ...] = (name, "endpoint")
    text = (arguments.get(name) or {}).get("endpoint")
    if isinstance(text, dict):
        path, text = (*path, "uri"), text.get("uri")
    is_template = isinstance(text, str) and "{" in text and "${" not in text
    return path if is_template else ()


def _per_message(texts: dict[str, str]) -> PerMessage:
    programs = [policies.condition(text) for text in texts.values()]
    names = [program.variables for program in programs if program is not None]
    return PerMessage(texts=texts, variables=frozenset().union(*names))
