"""``$authorization``: what a task's authentication policy comes to, as far as it is known here.

A token that an executor has yet to obtain is not: its scheme is told, its parameter is null. What
a secret holds is told as a marker, like everywhere in the engine.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from flunq.core.document import policies
from flunq.core.execution.faults import problem
from flunq.core.markers import marker, path_of, transformed

if TYPE_CHECKING:
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step

STAGE = frozenset({"context", "input", "task", "workflow", "runtime"})
"""What a policy's own expressions see: all but the authorization itself."""
_SCHEMES = {
    "basic": "Basic",
    "bearer": "Bearer",
    "digest": "Digest",
    "oauth2": "Bearer",
    "oidc": "Bearer",
}
_PLACES = ("endpoint", "service")


def authorization(turn: Turn, step: Step) -> dict[str, Any] | None:
    """Return the descriptor for a task; None if it does not authenticate."""
    policy = _policy(step.task.definition.get("with"), _named(turn))
    for kind, scheme in _SCHEMES.items():
        if isinstance(policy, dict) and kind in policy:
            return {"scheme": scheme, "parameter": _parameter(turn, step, kind, policy[kind])}
    return None


def _named(turn: Turn) -> dict[str, Any]:
    use = turn.env.workflow.value.get("use") or {}
    return use.get("authentications") or {}


def _policy(arguments: Any, named: dict[str, Any]) -> Any:
    """Find the policy of a call, wherever its kind has it."""
    if not isinstance(arguments, dict):
        return None
    holders: list[Any] = [arguments, *(arguments.get(place) for place in _PLACES)]
    found = [holder["authentication"] for holder in holders if _has_policy(holder)]
    policy = found[0] if found else None
    name = policy.get("use") if isinstance(policy, dict) else None
    return named.get(name) if isinstance(name, str) else policy


def _has_policy(holder: Any) -> bool:
    return isinstance(holder, dict) and "authentication" in holder


def _parameter(turn: Turn, step: Step, kind: str, members: Any) -> str | None:
    if kind == "bearer":
        return _member(turn, step, members, "token")
    if kind != "basic":
        return None
    name = _member(turn, step, members, "username")
    password = _member(turn, step, members, "password")
    if name is None or password is None:
        return None
    pair = f"{name}:{password}"
    return transformed(pair, "base64") or b64encode(pair.encode("utf-8", "replace")).decode()


def _member(turn: Turn, step: Step, members: Any, name: str) -> str | None:
    if not isinstance(members, dict):
        return None
    if isinstance(members.get("use"), str):
        return _of_secret(turn, members["use"], name)
    value = turn.evaluate(policies.template(members.get(name)), step.input, step, STAGE)
    return value if isinstance(value, str) else None


def _of_secret(turn: Turn, secret: str, member: str) -> str:
    grant = turn.state.secrets
    if grant is None or secret not in grant.names:
        raise problem("authorization", f"the secret {secret!r} is not in use.secrets")
    return marker(grant.nonce, path_of([secret, member]))
