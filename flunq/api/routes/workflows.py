"""``/v1/workflows``: register definitions, look at them, remove them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from flunq.api.contract import JSON, ApiRoute, Call, Reply, json_reply
from flunq.api.cursors import decode_cursor, encode_cursor
from flunq.api.problems import InvalidFieldError
from flunq.api.views import (
    DefinitionPage,
    DefinitionSource,
    definition_view,
)
from flunq.core.events import timestamp
from flunq.core.reading import InvalidDocument, read_document
from flunq.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from flunq.core.flow import PauseView
    from flunq.core.protocol import Definition

TAG = "workflows"
YAML = "application/yaml"
DOCUMENTS = (JSON, YAML, "application/x-yaml", "text/yaml", "text/x-yaml", "text/plain")
Key = tuple[str, str, str]


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """A registered version; ``created`` is false when the same document was there already."""

    namespace: str
    name: str
    version: str
    digest: str
    created: bool


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a document can be registered, and everything that is wrong with it."""

    valid: bool
    errors: list[dict[str, Any]]


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What is gone."""

    deleted: list[str]


class PauseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is paused, and why."""

    reason: str = ""
    starts_only: bool = False
    """Executions that have begun go on."""


class ResumeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An empty object, or no body at all."""


class Paused(msgspec.Struct, frozen=True, kw_only=True):
    """A pause; ``unheard`` are the partitions whose owner has not confirmed it yet."""

    workflow: str
    since: str
    reason: str
    starts_only: bool
    unheard: list[int]


class ApplyQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``schedule=false``: its schedule does not come into force."""

    schedule: bool = True


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which definitions."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    cursor: str = ""
    prefix: str = ""


async def apply(call: Call) -> Reply:
    """Register a document."""
    applied = await call.client.apply(_text(call.body), schedule=call.query.schedule)
    known = {name: applied.get(name, "") for name in ("namespace", "name", "version", "digest")}
    view = Applied(**known, created=bool(applied.get("created")))
    call.target = f"{view.namespace}/{view.name}:{view.version}"
    location = {"location": f"/v1/workflows/{view.namespace}/{view.name}/versions/{view.version}"}
    return json_reply(view, status=201 if view.created else 200, headers=location)


async def validate(call: Call) -> Reply:
    """Say what is wrong with a document."""
    try:
        await asyncio.to_thread(read_document, _text(call.body), name="document")
    except InvalidDocument as invalid:
        errors = [problem.to_json() for problem in invalid.problems]
        return json_reply(Verdict(valid=False, errors=errors))
    return json_reply(Verdict(valid=True, errors=[]))


async def list_page(call: Call) -> Reply:
    """Return a page of versions."""
    query: ListQuery = call.query
    after = decode_cursor(query.cursor, Key) if query.cursor else None
    known = sorted(await call.client.workflows(query.prefix), key=_key)
    rest = [each for each in known if after is None or _key(each) > after]
    page = rest[: query.limit]
    following = encode_cursor(_key(page[-1])) if len(rest) > len(page) else None
    return json_reply(
        DefinitionPage(items=[definition_view(each) for each in page], next=following)
    )


async def get(call: Call) -> Reply:
    """Return a definition with its document."""
    found = await call.client.workflow(_name(call))
    document = found.document
    if not document:
        document = (await asyncio.to_thread(read_document, found.text, name="document")).value
    view = definition_view(found.definition)
    return json_reply(
        DefinitionSource(definition=view, document=document, resources=found.resources)
    )


async def source(call: Call) -> Reply:
    """Return a document as it was written."""
    found = await call.client.workflow(_name(call))
    return Reply(body=found.text.encode(), media="text/plain; charset=utf-8")


async def versions(call: Call) -> Reply:
    """Return the versions of a workflow."""
    namespace, name = call.parameters["namespace"], call.parameters["name"]
    known = sorted(await call.client.workflows(f"{namespace}/{name}"), key=_key)
    found = [each for each in known if (each.namespace, each.name) == (namespace, name)]
    if not found:
        raise NotFoundError(f"no workflow {namespace}/{name}", hint="GET /v1/workflows lists them")
    return json_reply(DefinitionPage(items=[definition_view(each) for each in found], next=None))


async def delete(call: Call) -> Reply:
    """Unregister a version or all of them."""
    return json_reply(Deleted(deleted=await call.client.delete_workflow(_name(call))))


async def pause(call: Call) -> Reply:
    """Let a workflow begin nothing."""
    body: PauseRequest = call.body
    found = await call.client.flow.pause_workflow(
        _name(call), reason=body.reason, starts_only=body.starts_only
    )
    return json_reply(_paused(found))


async def resume(call: Call) -> Reply:
    """Let it go on."""
    return json_reply(_paused(await call.client.flow.resume_workflow(_name(call))))


def _paused(found: PauseView) -> Paused:
    return Paused(
        workflow=found.workflow,
        since=timestamp(found.since),
        reason=found.reason,
        starts_only=found.starts_only,
        unheard=[*found.unheard],
    )


def _name(call: Call) -> str:
    parts = call.parameters
    for name, value in parts.items():
        if not value.isprintable() or "/" in value or ":" in value:
            raise InvalidFieldError("this cannot be part of a workflow's name", path=f"/{name}")
    name = f"{parts['namespace']}/{parts['name']}"
    return f"{name}:{parts['version']}" if "version" in parts else name


def _key(found: Definition) -> Key:
    return (found.namespace, found.name, found.version)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise UsageError("the document is not UTF-8", byte=error.start) from error


_PATH = "/v1/workflows/{namespace}/{name}"
_VERSION = _PATH + "/versions/{version}"
_DOCUMENT = dict[str, Any]

ROUTES = (
    ApiRoute(
        method="POST",
        path="/v1/workflows",
        endpoint=apply,
        name="applyWorkflow",
        tag=TAG,
        role="operator",
        query=ApplyQuery,
        body=_DOCUMENT,
        accepts=DOCUMENTS,
        answer=Applied,
        status=201,
        also=(200,),
        summary="Register a workflow (YAML or JSON); the same document again changes nothing.",
    ),
    ApiRoute(
        method="GET",
        path="/v1/workflows",
        endpoint=list_page,
        name="listWorkflows",
        tag=TAG,
        query=ListQuery,
        answer=DefinitionPage,
        summary="List the registered versions by name.",
    ),
    ApiRoute(
        method="POST",
        path="/v1/validate",
        endpoint=validate,
        name="validateWorkflow",
        tag=TAG,
        role="viewer",
        body=_DOCUMENT,
        accepts=DOCUMENTS,
        answer=Verdict,
        audited=False,
        summary="Check a document without registering it.",
    ),
    *(
        ApiRoute(
            method="GET",
            path=path,
            endpoint=get,
            name=f"get{name}",
            tag=TAG,
            answer=DefinitionSource,
            summary=f"Look at {what} of a workflow.",
        )
        for path, name, what in (
            (_PATH, "Workflow", "the newest version"),
            (_VERSION, "WorkflowVersion", "a version"),
        )
    ),
    ApiRoute(
        method="GET",
        path=_PATH + "/versions",
        endpoint=versions,
        name="listVersions",
        tag=TAG,
        answer=DefinitionPage,
        summary="List the versions of a workflow.",
    ),
    *(
        ApiRoute(
            method="GET",
            path=path + "/source",
            endpoint=source,
            name=f"get{name}Source",
            tag=TAG,
            media=("text/plain",),
            summary=f"Read {what} of a workflow as it was written.",
        )
        for path, name, what in (
            (_PATH, "Workflow", "the newest version"),
            (_VERSION, "WorkflowVersion", "a version"),
        )
    ),
    *(
        ApiRoute(
            method="POST",
            path=f"{path}/{verb}",
            endpoint=endpoint,
            name=f"{verb}{name}",
            tag=TAG,
            role="operator",
            body=body,
            optional_body=True,
            answer=Paused,
            summary=summary.format(what),
        )
        for path, name, what in (
            (_PATH, "Workflow", "a workflow"),
            (_VERSION, "WorkflowVersion", "one version of a workflow"),
        )
        for verb, endpoint, body, summary in (
            ("pause", pause, PauseRequest, "Let {} begin nothing; starts are accepted and wait."),
            ("resume", resume, ResumeRequest, "Let {} that is paused go on."),
        )
    ),
    *(
        ApiRoute(
            method="DELETE",
            path=path,
            endpoint=delete,
            name=f"delete{name}",
            tag=TAG,
            role="admin",
            answer=Deleted,
            summary=f"Unregister {what} of a workflow; running executions keep it.",
        )
        for path, name, what in (
            (_PATH, "Workflow", "all versions"),
            (_VERSION, "WorkflowVersion", "a version"),
        )
    ),
)
