"""Users of NATS, one per tenant: made in the configuration of the servers that flunq started."""

from __future__ import annotations

import os
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.tenancy import Access, nats_user, tenant_permissions
from flunq.log.nats.server import users
from flunq.services.supervising.layout import DataDirectory, write_private
from flunq.services.supervising.secrets import ClusterSecrets
from flunq.services.supervising.statefile import running_state

if TYPE_CHECKING:
    from flunq.log.nats.server import Credentials
    from flunq.services.supervising.statefile import ClusterState


class Servers:
    """The NATS servers of a local cluster; elsewhere somebody else makes the users."""

    def __init__(self, data_dir: str | None) -> None:
        self._directory = DataDirectory(Path(data_dir)) if data_dir is not None else None

    def admit(self, tenant: str) -> Access:
        """Let a tenant log in; one that may do so already keeps its password."""
        password = self._password(tenant)
        if not password and self._state() is not None:
            password = secrets.token_urlsafe(24)
            self._keep({tenant: password})
        return self.access(tenant)

    def forget(self, tenant: str) -> None:
        """Let a tenant log in no longer; its connections are closed."""
        if self._password(tenant):
            self._keep({tenant: None})

    def access(self, tenant: str) -> Access:
        """Return how a tenant logs in."""
        publish, subscribe = tenant_permissions(tenant)
        return Access(
            tenant=tenant,
            user=nats_user(tenant),
            password=self._password(tenant),
            publish=publish,
            subscribe=subscribe,
        )

    def _state(self) -> ClusterState | None:
        """Return the state of the local cluster if its servers are flunq's own."""
        state = running_state(self._directory) if self._directory is not None else None
        return state if state is not None and not state.nats.external else None

    def _kept(self) -> ClusterSecrets | None:
        if self._directory is None:
            return None
        try:
            return msgspec.json.decode(
                self._directory.credentials.read_bytes(), type=ClusterSecrets
            )
        except FileNotFoundError:
            return None

    def _password(self, tenant: str) -> str:
        kept = self._kept()
        return kept.nats.tenants.get(tenant, "") if kept is not None else ""

    def _keep(self, changed: dict[str, str | None]) -> None:
        kept, state = self._kept(), self._state()
        assert self._directory is not None
        if kept is None:
            return
        tenants = {
            name: password
            for name, password in {**kept.nats.tenants, **changed}.items()
            if password is not None
        }
        nats = msgspec.structs.replace(kept.nats, tenants=tenants)
        kept = msgspec.structs.replace(kept, nats=nats)
        write_private(self._directory.credentials, msgspec.json.encode(kept))
        for service in state.services if state is not None else ():
            path = self._directory.run / f"{service.name}.conf"
            if path.exists() and service.pid is not None:
                reload_users(path, service.pid, nats)


def reload_users(path: Path, pid: int, credentials: Credentials) -> None:
    """Write users into the configuration of a server and let it read that, which takes a while."""
    document: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    document["authorization"]["users"] = users(credentials)
    write_private(path, msgspec.json.format(msgspec.json.encode(document)))
    os.kill(pid, signal.SIGHUP)
