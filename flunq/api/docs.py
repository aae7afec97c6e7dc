"""``/docs``: one page, nothing in it from anywhere else."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files

from flunq.api.contract import Reply

_PARTS = ("docs.html", "docs.css", "docs.js")


@cache
def page() -> Reply:
    """Return the page; its policy lets only its own style and script run."""
    html, style, script = (read_part(name) for name in _PARTS)
    body = html.replace("/*STYLE*/", style).replace("/*SCRIPT*/", script)
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src {digest_of(style)}",
            f"script-src {digest_of(script)}",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    headers = {
        "content-security-policy": policy,
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }
    return Reply(body=body.encode(), media="text/html; charset=utf-8", headers=headers)


def read_part(name: str) -> str:
    """Return a file that pages are made of."""
    return files("flunq.api").joinpath("page", name).read_text(encoding="utf-8")


def digest_of(text: str) -> str:
    """Return what a policy names a style or script by."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
