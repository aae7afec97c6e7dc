"""The page on which a person answers: plain HTML, no script, nothing from anywhere else."""

from __future__ import annotations

from functools import cache
from html import escape
from typing import TYPE_CHECKING

from flunq.api.contract import Reply
from flunq.api.docs import digest_of, read_part
from flunq.api.forms import field_html, fields_of

if TYPE_CHECKING:
    from flunq.api.forms import Given
    from flunq.client.approvals import Approval
    from flunq.errors import FlunqError

_MEDIA = "text/html; charset=utf-8"


def form_page(approval: Approval, *, given: Given, error: FlunqError | None = None) -> Reply:
    """Return the form; with an error it says what has to be put right."""
    facts = [("For", approval.who), ("Workflow", approval.workflow)]
    facts.append(("Execution", approval.execution))
    rows = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts if text)
    alert = f'<p role="alert">{escape(error.message)}</p>' if error is not None else ""
    fields = "".join(field_html(field, given) for field in fields_of(approval.form))
    body = (
        f"<h1>{escape(approval.title)}</h1><dl>{rows}</dl>{alert}"
        f'<form method="post" accept-charset="utf-8">{fields}'
        f"{_line('by', 'Your name', given)}{_line('reason', 'Reason', given)}"
        '<button name="approved" value="true">Approve</button>'
        '<button name="approved" value="false" formnovalidate>Reject</button></form>'
    )
    return _page(approval.title, body, status=error.status if error is not None else 200)


def thanks_page(approval: Approval, *, approved: bool) -> Reply:
    """Return what is shown once the answer is durable."""
    word = "approved" if approved else "rejected"
    body = (
        f'<h1>Thank you</h1><p role="status">{escape(approval.title)}: you have <strong>{word}'
        "</strong> it. You can close this page; the link counts no more.</p>"
    )
    return _page("Thank you", body)


def error_page(error: FlunqError) -> Reply:
    """Return what is shown instead of the form."""
    body = f'<h1>{escape(error.title)}</h1><p role="alert">{escape(error.message)}.</p>'
    return _page(error.title, body, status=error.status)


def _line(name: str, label: str, given: Given) -> str:
    text = (given.get(name) or [""])[0]
    return (
        f'<div><label for="{name}">{label}</label><input id="{name}" name="{name}" maxlength="200"'
        f' value="{escape(text)}"></div>'
    )


def _page(title: str, body: str, *, status: int = 200) -> Reply:
    style, policy = _style()
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="robots" content="noindex"><title>{escape(title)}</title>'
        f"<style>{style}</style></head><body><main>{body}</main></body></html>"
    )
    headers = {
        "content-security-policy": policy,
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
    return Reply(body=html.encode(), status=status, media=_MEDIA, headers=headers)


@cache
def _style() -> tuple[str, str]:
    """Return the style and the policy that lets nothing else in."""
    style = read_part("approval.css")
    return style, "; ".join(
        (
            "default-src 'none'",
            f"style-src {digest_of(style)}",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )
