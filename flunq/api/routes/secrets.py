"""``/v1/secrets``: names go out, values only come in."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from flunq.api.contract import ApiRoute, Call, Reply, json_reply, no_content

TAG = "secrets"
_PATH = "/v1/secrets"


class SecretName(msgspec.Struct, frozen=True, kw_only=True):
    """A secret without its value."""

    name: str
    changed_at: str | None = None


class SecretList(msgspec.Struct, frozen=True, kw_only=True):
    """The secrets of the tenant, without their values."""

    items: list[SecretName]


class SecretValue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The value: any JSON."""

    value: Annotated[Any, msgspec.Meta(description="any JSON")]

    def __repr__(self) -> str:
        return "SecretValue(***)"


async def list_names(call: Call) -> Reply:
    """Return the names."""
    found = await call.client.secrets()
    items = [
        SecretName(name=each["name"], changed_at=each.get("changed_at") or each.get("time"))
        for each in found
    ]
    return json_reply(SecretList(items=items))


async def put(call: Call) -> Reply:
    """Keep a secret."""
    await call.client.put_secret(call.parameters["name"], call.body.value)
    return no_content()


async def delete(call: Call) -> Reply:
    """Forget a secret."""
    await call.client.delete_secret(call.parameters["name"])
    return no_content()


ROUTES = (
    ApiRoute(
        method="GET",
        path=_PATH,
        endpoint=list_names,
        name="listSecrets",
        tag=TAG,
        role="operator",
        answer=SecretList,
        summary="List the names of the secrets; nobody can ask for a value.",
    ),
    ApiRoute(
        method="PUT",
        path=_PATH + "/{name}",
        endpoint=put,
        name="putSecret",
        tag=TAG,
        role="admin",
        body=SecretValue,
        status=204,
        summary="Keep a secret, sealed.",
    ),
    ApiRoute(
        method="DELETE",
        path=_PATH + "/{name}",
        endpoint=delete,
        name="deleteSecret",
        tag=TAG,
        role="admin",
        status=204,
        summary="Forget a secret.",
    ),
)
