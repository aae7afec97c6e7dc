"""``connect()``: from arguments, settings or the selected context to a client."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from flunq.client.client import Client
from flunq.errors import UnavailableError
from flunq.log.address import split_credentials
from flunq.log.select import StreamSettings, event_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from flunq.config import Loaded


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Which cluster to talk to, and as whom."""

    url: str
    user: str | None = None
    password: str | None = None
    tenant: str = "default"
    ca: str | None = None
    """File with the authority that the server is checked against; None: the system's."""
    context: str | None = None
    """The context that named the cluster, if one did."""
    local: bool = False
    """Whether ``flunq up`` wrote that context."""

    def __repr__(self) -> str:
        return f"Target({self.url!r}, tenant={self.tenant!r}, context={self.context!r})"

    @property
    def where(self) -> str:
        """Name the address and, if there is one, the context, for a message."""
        return f"{self.url}, context {self.context}" if self.context else self.url

    def stream_settings(self) -> StreamSettings:
        """Return what a backend needs to connect."""
        return StreamSettings(
            url=self.url,
            tenant=self.tenant,
            user=self.user,
            password=self.password,
            name="flunq-client",
            ca=self.ca,
            claim=_user_and_host(),
        )


@asynccontextmanager
async def connect(
    loaded: Loaded | None = None,
    *,
    url: str | None = None,
    user: str | None = None,
    password: str | None = None,
    tenant: str | None = None,
    context: str | None = None,
) -> AsyncIterator[Client]:
    """Connect to a cluster: the one that the arguments name, or the selected context's.

    Settings are found as the ``flunq`` command finds them (environment, ``flunq.toml``, context).
    Raises UnavailableError when no cluster is known or it does not answer.
    """
    target = find_target(
        loaded, url=url, user=user, password=password, tenant=tenant, context=context
    )
    client = Client(event_stream(target.stream_settings()), tenant=target.tenant)
    try:
        await client.__aenter__()
    except UnavailableError as error:
        raise _unreachable(target, error) from None
    try:
        yield client
    finally:
        await client.aclose()


def find_target(
    loaded: Loaded | None = None,
    *,
    url: str | None = None,
    user: str | None = None,
    password: str | None = None,
    tenant: str | None = None,
    context: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Target:
    """Return which cluster is meant; raises UnavailableError when none is known."""
    if loaded is None and (url is None or tenant is None):
        from flunq.config import load  # the settings are read only where they are needed

        flags = {"nats_url": url, "tenant": tenant, "context": context}
        loaded = load({name: value for name, value in flags.items() if value is not None})
    named_by, local = None, False
    if loaded is not None:
        tenant = tenant or loaded.settings.tenant
        # The password of a context goes to the address of that context, and to no other.
        if url is None and loaded.origins["nats_url"].source == "context":
            assert loaded.context is not None
            named_by, local = loaded.context.name, loaded.context.data_dir is not None
            user, password = user or loaded.context.user, password or loaded.context.password
        url = url or loaded.settings.nats_url
    if url is None:
        raise _no_cluster(loaded)
    bare, url_user, url_password = split_credentials(url)
    return Target(
        url=bare,
        user=user or url_user or environ.get("FLUNQ_NATS_USER"),
        password=password or url_password or environ.get("FLUNQ_NATS_PASSWORD"),
        tenant=tenant or "default",
        ca=loaded.settings.ca if loaded is not None else None,
        context=named_by,
        local=local,
    )


def _user_and_host() -> str:
    """Return who this is, for the record of what was done; nobody checks it."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _no_cluster(loaded: Loaded | None) -> UnavailableError:
    context = loaded.context if loaded is not None else None
    if context is not None:
        return UnavailableError(
            f"the context {context.name} names no nats_url",
            hint=f"add one with: flunq context edit {context.name}",
        )
    return UnavailableError(
        "no cluster is known: no context is selected and FLUNQ_NATS_URL is not set",
        hint="start one with: flunq up",
    )


def _unreachable(target: Target, error: UnavailableError) -> UnavailableError:
    if "credentials" in error.message or "not trusted" in error.message:
        return UnavailableError(error.message, hint=error.hint, where=target.where)
    if target.local:
        hint = f"look with: flunq status, or start it with: flunq up --name {target.context}"
    else:
        hint = "start one with: flunq up, or choose another with: flunq context use NAME"
    return UnavailableError(
        "no cluster answers",
        hint=hint,
        where=target.where,
        reason=error.message,
    )
