"""``/v1/approvals`` and ``/approvals/{link}``: what waits for a person, and the person's answer.

Who has a link needs no token: it is signed, expires, and counts for one answer.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from flunq.api.auditing import noted
from flunq.api.contract import JSON, ApiRoute, Call, Reply, json_reply
from flunq.api.durations import seconds_of
from flunq.api.negotiation import media_type
from flunq.api.problems import as_flunq_error, invalid_field, malformed, problem_reply
from flunq.client.approvals import Approval
from flunq.core.access import ApprovalLink
from flunq.errors import FlunqError, RejectedError
from flunq.services.identity.links import LONGEST_LIFETIME, LinkEndedError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from flunq.client.approvals import Approvals, Sent
    from flunq.services.identity.links import ApprovalLinks, LinkClaims

TAG = "approvals"
HTML = "text/html"
FORM = "application/x-www-form-urlencoded"
_PATH = "/v1/approvals"
Short = Annotated[str, msgspec.Meta(max_length=2000)]


class ApprovalList(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for a person."""

    items: list[Approval]


class LinkAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A decision; ``data`` is what the form asks for."""

    approved: bool
    data: dict[str, Any] = {}
    by: Short = ""
    reason: Short = ""


class TaskAnswer(LinkAnswer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A decision; ``task`` is needed where several tasks wait."""

    task: Short | None = None


class LinkWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For which task, and for how long."""

    task: Short | None = None
    ttl: Annotated[str, msgspec.Meta(examples=["7d", "12h"])] = "7d"


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered; it is durable."""

    execution: str
    task: str
    approved: bool


class LinkView(msgspec.Struct, frozen=True, kw_only=True):
    """What a link asks."""

    execution: str
    task: str
    workflow: str
    title: str
    who: str
    form: dict[str, Any] | None
    expires: int
    """Seconds since the epoch."""


async def list_waiting(call: Call) -> Reply:
    """Return what waits for a person."""
    return json_reply(ApprovalList(items=await call.client.approvals.list()))


async def answer(call: Call) -> Reply:
    """Decide, as somebody with a token."""
    body: TaskAnswer = call.body
    sent = await call.client.approvals.answer(
        call.id,
        approved=body.approved,
        task=body.task,
        data=body.data,
        by=body.by or call.principal.name,
        reason=body.reason,
    )
    return json_reply(_answered(sent))


async def make_link(call: Call) -> Reply:
    """Make an address for somebody without a token."""
    body: LinkWish = call.body
    lifetime = int(seconds_of(body.ttl, most=LONGEST_LIFETIME, where="$.ttl"))
    made = await call.client.approvals.link(call.id, task=body.task, lifetime=lifetime)
    return json_reply(made, status=201, headers={"location": made.path})


async def show_link(call: Call) -> Reply:
    """Show what is asked; looking uses nothing up."""
    return await _for_people(call, _shown(call))


async def answer_link(call: Call) -> Reply:
    """Decide, as whoever has the link."""
    return await _for_people(call, _decided(call))


async def _for_people(call: Call, work: Awaitable[Reply]) -> Reply:
    """Answer; what goes wrong is said in a page where a browser asks."""
    try:
        return await work
    except Exception as error:  # a page says what it can, anything else goes on
        known = as_flunq_error(error)
        if known is None or call.media != HTML:
            raise
        return _error_page(known)


async def _shown(call: Call) -> Reply:
    claims, approvals = await _opened(call)
    approval = await approvals.find(claims.execution, claims.task, claims.step)
    if call.media == HTML:
        from flunq.api.approval_page import form_page

        return form_page(approval, given={})
    view = LinkView(
        execution=approval.execution,
        task=approval.task,
        workflow=approval.workflow,
        title=approval.title,
        who=approval.who,
        form=approval.form,
        expires=claims.expires,
    )
    return json_reply(view, headers={"cache-control": "no-store"})


async def _decided(call: Call) -> Reply:
    try:
        claims, approvals = await _opened(call)
    except LinkEndedError as error:
        if error.claims is not None:
            _note(call, error.claims, str(error.status))
        raise
    return await noted(_delivered(call, claims, approvals), partial(_note, call, claims))


def _note(call: Call, claims: LinkClaims, result: str) -> None:
    """Have the audit say who tried to answer what."""
    target = f"{claims.execution}/{claims.task.lstrip('/')}"
    call.services.audit.record(claims.principal(), "answerByLink", target, result, call.remote)


async def _opened(call: Call) -> tuple[LinkClaims, Approvals]:
    """Return what the link in the path is for, and the approvals of its tenant."""
    claims = await call.services.links().read(call.parameters["link"], remote=call.remote)
    client = await call.services.tenants.get(claims.tenant)
    return claims, client.approvals


async def _delivered(call: Call, claims: LinkClaims, approvals: Approvals) -> Reply:
    approval = await approvals.find(claims.execution, claims.task, claims.step)
    said = _said(call, approval)
    try:
        ready = await approvals.prepare(
            claims.execution,
            approved=said.approved,
            task=approval.task,
            step=approval.step,
            data=said.data,
            by=said.by or f"link {claims.id}",
            reason=said.reason,
        )
    except RejectedError as error:
        if call.media != HTML or error.status != 422:
            raise
        return _form_again(call, approval, error)
    await _published(call.services.links(), claims, approvals, said, ready)
    if call.media == HTML:
        from flunq.api.approval_page import thanks_page

        return thanks_page(approval, approved=ready.approved)
    return json_reply(_answered(ready))


async def _published(
    links: ApprovalLinks, claims: LinkClaims, approvals: Approvals, said: LinkAnswer, ready: Sent
) -> None:
    """Publish an answer; the link is taken before, and given back if the cluster refuses."""
    taken = await links.take(claims, msgspec.to_builtins(said))
    try:
        await approvals.publish(ready)
    except FlunqError as error:
        if error.status < 500:
            await links.release(claims, taken)
        raise
    await links.finish(claims)


def _said(call: Call, approval: Approval) -> LinkAnswer:
    """Read the answer, from a form or as JSON."""
    is_form = _is_form(call)
    if is_form:
        from flunq.api.forms import data_of, read_form

        given = read_form(call.body)
        plain = {name: given[name][0] for name in ("approved", "by", "reason") if name in given}
        data = data_of(approval.form, given)
        members: Any = {**plain, "data": data if plain.get("approved") == "true" else {}}
    else:
        try:
            members = msgspec.json.decode(call.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise malformed(error, call.body) from error
    try:
        return msgspec.convert(members, LinkAnswer, strict=not is_form)
    except msgspec.ValidationError as error:
        raise invalid_field(error) from error


def _form_again(call: Call, approval: Approval, error: FlunqError) -> Reply:
    """Return the form with what was filled in, and what is wrong with it."""
    from flunq.api.approval_page import form_page
    from flunq.api.forms import read_form

    given = read_form(call.body) if _is_form(call) else {}
    return form_page(approval, given=given, error=error)


def _is_form(call: Call) -> bool:
    return media_type(call.headers.get("content-type", JSON)) == FORM


def _error_page(error: FlunqError) -> Reply:
    from flunq.api.approval_page import error_page

    page = error_page(error)
    retry = problem_reply(error).headers.get("retry-after")
    if retry is not None:
        page.headers["retry-after"] = retry
    return page


def _answered(sent: Sent) -> Answered:
    return Answered(execution=sent.execution, task=sent.task, approved=sent.approved)


ROUTES = (
    ApiRoute(
        method="GET",
        path=_PATH,
        endpoint=list_waiting,
        name="listApprovals",
        tag=TAG,
        answer=ApprovalList,
        summary="List what waits for a person.",
    ),
    ApiRoute(
        method="POST",
        path=_PATH + "/{id}/answer",
        endpoint=answer,
        name="answerApproval",
        tag=TAG,
        role="operator",
        body=TaskAnswer,
        answer=Answered,
        summary="Say yes or no to what an execution waits for.",
        example={"approved": True, "data": {"limit": 500}, "reason": "as agreed"},
    ),
    ApiRoute(
        method="POST",
        path=_PATH + "/{id}/link",
        endpoint=make_link,
        name="createApprovalLink",
        tag=TAG,
        role="operator",
        body=LinkWish,
        optional_body=True,
        answer=ApprovalLink,
        status=201,
        summary="Make an address by which somebody without a token answers once.",
        description="Whoever knows `path` may answer: send it to nobody else, and log it nowhere.",
        example={"ttl": "7d"},
    ),
    ApiRoute(
        method="GET",
        path="/approvals/{link}",
        endpoint=show_link,
        name="showApprovalLink",
        tag=TAG,
        role=None,
        answer=LinkView,
        media=(JSON, HTML),
        fails=(404, 409, 410, 429),
        summary="Show what a link asks; a browser gets a form.",
    ),
    ApiRoute(
        method="POST",
        path="/approvals/{link}",
        endpoint=answer_link,
        name="answerByLink",
        tag=TAG,
        role=None,
        body=LinkAnswer,
        accepts=(JSON, FORM),
        answer=Answered,
        media=(JSON, HTML),
        fails=(404, 410, 429),
        summary="Answer by a link; it counts once.",
        example={"approved": True, "reason": "as agreed"},
    ),
)
