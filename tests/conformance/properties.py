"""All properties of the language, so that one without a case is noticed.

Most come out of our schema: each member of each object, and each value of each enumeration. What
the schema does not say (arguments of expressions, errors, events, directives) is listed here.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from flunq.resources import load_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTIONS = {
    "header": "document",
    "components": "use",
    "input": "workflow.input task.input",
    "output": "workflow.output task.output task.export",
    "dataSchema": "schema",
    "authenticationPolicy": "authentication",
    "userAndPassword": "basic digest",
    "oauthClient": "oauth2.client oidc.client",
    "oauthToken": "oauth2.token",
    "eventAttributes": "event",
    "eventFilter": "filter",
    "container": "run.container",
    "script": "run.script",
    "shell": "run.shell",
    "subflow": "run.workflow",
    "callOutput": "call.http.output call.openapi.output",
    "httpCall": "call.http",
    "openapiCall": "call.openapi",
    "grpcCall": "call.grpc",
    "asyncapiCall": "call.asyncapi",
    "a2aCall": "call.a2a",
    "mcpCall": "call.mcp",
    "subscription": "call.asyncapi.subscription",
    "iterator": "foreach",
}
"""Definitions of the schema whose properties are told under another name, or several."""
ARGUMENTS = {
    "workflow.input": "secrets workflow runtime",
    "task.if": "context secrets task workflow runtime",
    "task.input": "context secrets task workflow runtime",
    "task.definition": "context input secrets task workflow runtime authorization",
    "task.output": "context input secrets task workflow runtime authorization",
    "task.export": "context input output secrets task workflow runtime authorization",
    "workflow.output": "context secrets workflow runtime",
}
"""Where expressions are evaluated, and the arguments that they have there."""
BEYOND = """
evaluate.language evaluate.mode=strict evaluate.mode=loose
expression.bare expression.enclosed expression.strict expression.interpolated expression.failure
$workflow.id $workflow.definition $workflow.input $workflow.startedAt
$task.name $task.reference $task.definition $task.input $task.output $task.startedAt
$runtime.name $runtime.version $runtime.metadata
$authorization.scheme $authorization.parameter
startedAt.iso8601 startedAt.epoch.seconds startedAt.epoch.milliseconds
data.order data.skipped
directive.continue directive.exit directive.end directive.name directive.scope
endpoint.template
errors.configuration errors.validation errors.expression errors.authentication
errors.authorization errors.timeout errors.communication errors.runtime errors.instance
status.pending status.running status.waiting status.suspended status.cancelled status.faulted
status.completed
events.workflow.started events.workflow.suspended events.workflow.resumed
events.workflow.correlation-started events.workflow.correlation-completed
events.workflow.cancelled events.workflow.faulted events.workflow.completed
events.workflow.status-changed
events.task.created events.task.started events.task.suspended events.task.resumed
events.task.retried events.task.cancelled events.task.faulted events.task.completed
events.task.status-changed
call.function.use call.function.uri call.function.catalog call.function.code
catalog.default catalog.raw secrets.unknown authentication.certificate
schema.format=json schema.format=other call.mcp.client.version
""".split()


@cache
def all_properties() -> dict[str, None]:
    """Return the ids of all properties, in the order of the schema; no id twice."""
    schema = load_schema("workflow")
    found = dict.fromkeys(_members(schema, "workflow"))
    for name, definition in schema["$defs"].items():
        for section in SECTIONS.get(name, name).split():
            found |= dict.fromkeys(_members(definition, section))
    for stage, names in ARGUMENTS.items():
        found |= dict.fromkeys(f"argument.{stage}.${name}" for name in names.split())
    return found | dict.fromkeys(BEYOND)


def _members(schema: dict[str, Any], path: str) -> Iterator[str]:
    """Yield the properties of an object and of the objects that are written inside of it."""
    for value in schema.get("enum", ()):
        yield f"{path}={value}"
    for name, member in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        if isinstance(member, dict):
            yield from _members(member, f"{path}.{name}")
    for inner in _inside(schema):
        yield from _members(inner, path)


def _inside(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key in ("additionalProperties", "items"):
        if isinstance(schema.get(key), dict):
            yield schema[key]
    yield from (each for each in schema.get("oneOf", ()) if "properties" in each)
