"""Reusable parts: retry policies and authentication."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flunq.core.duration import DurationError, parse_duration
from flunq.core.reading.problems import quoted

if TYPE_CHECKING:
    from flunq.core.converting.findings import Node
    from flunq.core.converting.workspace import Work

_GRANTS = {
    "password": "password",
    "clientCredentials": "client_credentials",
    "tokenExchange": "urn:ietf:params:oauth:grant-type:token-exchange",
}
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a type of token
_SECRET = re.compile(r"\$\{\s*\$SECRETS\.(\w[\w-]*)\s*\}|(\w[\w-]*)")
_MINIMUM = 1_000
"""Microseconds of the shortest delay: the language counts milliseconds."""


def retry_policies(work: Work) -> dict[str, Any]:
    """Return the retry policies: those that are defined, and the default if it is used."""
    found = {work.retry(name): _retry(node, work) for name, node in work.retries.items()}
    if "default" in work.retry_names and "default" not in work.retries:
        found[work.retry_names["default"]] = {
            "delay": "PT1S",
            "backoff": {"exponential": {}},
        }
    return found


def _retry(policy: Node, work: Work) -> dict[str, Any]:
    policy.only("name", "delay", "maxDelay", "increment", "multiplier", "maxAttempts", "jitter")
    found: dict[str, Any] = {}
    if delay := work.duration(policy.get("delay")):
        found["delay"] = delay
    if backoff := _backoff(policy, delay or "", work):
        found["backoff"] = {backoff: {}}
    policy.leave_out(
        "maxDelay", "delays between retries have no upper limit of their own", "retry-delay"
    )
    attempts = _number(policy, "maxAttempts")
    if attempts is not None:
        found["limit"] = {"attempt": {"count": max(0, int(attempts))}}
    if (jitter := _jitter(policy, delay, work)) is not None:
        found["jitter"] = {"from": {"milliseconds": 0}, "to": jitter}
    return found


def _backoff(policy: Node, delay: str, work: Work) -> str:
    increment = work.duration(policy.get("increment"))
    factor = _number(policy, "multiplier")
    if increment and _micros(increment):
        if _micros(increment) != _micros(delay or "PT0S"):
            policy.leave_out(
                "increment", "delays can grow by themselves, not by another length of time",
                "retry-delay", hint=f"the converted policy adds {delay or 'nothing'} each time",
            )  # fmt: skip
        return "linear"
    if factor is not None and factor != 1:
        if factor != 2:
            policy.leave_out(
                "multiplier", "delays can double, not grow by another factor", "retry-delay"
            )
        return "exponential"
    return ""


def _jitter(policy: Node, delay: str | None, work: Work) -> Any:
    wanted = policy.get("jitter")
    if wanted is None:
        return None
    if isinstance(wanted.value, str) and wanted.value.startswith("P"):
        return work.duration(wanted)
    part = _number(policy, "jitter")
    if part is None or delay is None:
        return None
    return {"milliseconds": round(_micros(delay) * part / _MINIMUM)}


def _number(owner: Node, name: str) -> float | None:
    """Return a number, which the old language also lets one write as a text."""
    node = owner.get(name)
    if node is None:
        return None
    if isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return float(node.value)
    try:
        return float(node.value)
    except (TypeError, ValueError):
        node.problem("this has to be a number", "wrong-type")
        return None


def _micros(duration: str) -> int:
    try:
        return parse_duration(duration).approximate()
    except DurationError:
        return 0


def authentications(work: Work) -> dict[str, Any]:
    """Return the reusable authentication policies."""
    found = {name: _policy(node, work) for name, node in work.auth.items()}
    return {name: policy for name, policy in found.items() if policy is not None}


def _policy(node: Node, work: Work) -> dict[str, Any] | None:
    node.only("name", "scheme", "properties")
    scheme = node.text("scheme", "basic") or "basic"
    properties = node.get("properties")
    if scheme not in ("basic", "bearer", "oauth2") or properties is None:
        node.problem(f"this {quoted(scheme)} authentication has no counterpart", "authentication")
        return None
    if isinstance(properties.value, str):
        return _secret(scheme, properties)
    if not properties.expect(dict):
        return None
    if scheme == "oauth2":
        return _oauth2(properties, work)
    members = ("username", "password") if scheme == "basic" else ("token",)
    properties.only(*members, "metadata")
    return {scheme: {name: _member(properties, name, work) for name in members}}


def _secret(scheme: str, properties: Node) -> dict[str, Any] | None:
    found = _SECRET.fullmatch(properties.value.strip())
    if found is None:
        properties.problem("this does not name a secret", "authentication")
        return None
    return {scheme: {"use": found[1] or found[2]}}


def _oauth2(properties: Node, work: Work) -> dict[str, Any] | None:
    properties.only(
        "authority", "grantType", "clientId", "clientSecret", "scopes", "username", "password",
        "audiences", "subjectToken", "metadata",
    )  # fmt: skip
    grant = _GRANTS.get(properties.text("grantType"))
    if grant is None or "authority" not in properties:
        properties.problem("OAuth2 needs a known grantType and an authority", "authentication")
        return None
    client = {"id": _member(properties, "clientId", work)}
    if "clientSecret" in properties:
        client["secret"] = _member(properties, "clientSecret", work)
    found: dict[str, Any] = {
        "authority": _member(properties, "authority", work),
        "grant": grant,
        "client": client,
    }
    for name in ("scopes", "audiences", "username", "password"):
        if (node := properties.get(name)) is not None:
            found[name] = work.rewriter.value(node)
    if "subjectToken" in properties:
        token = _member(properties, "subjectToken", work)
        found["subject"] = {"token": token, "type": _ACCESS_TOKEN}
    return {"oauth2": found}


def _member(properties: Node, name: str, work: Work) -> Any:
    node = properties.get(name)
    if node is None or not node.expect(str):
        return ""
    return work.rewriter.value(node)
