"""Fetches what documents refer to: files of this machine, and the web with authentication."""

from __future__ import annotations

import asyncio
import secrets as random
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from flunq.core.document.addresses import (
    CATALOG,
    DOCUMENT,
    AddressError,
    below,
    is_remote,
    is_template,
    locate,
    sources,
)
from flunq.core.document.bundle import MAX_RESOURCE
from flunq.core.document.references import place
from flunq.core.expressions import ExpressionError, NeedsEvaluation, compile_template
from flunq.core.markers import VARIABLE, MarkerError, Revealer, marker
from flunq.sdk.context import ExecutorContext, ExecutorSettings, TaskContext
from flunq.sdk.egress import EgressPolicy
from flunq.sdk.executor import TaskError
from flunq.sdk.secrets import EnvironmentSecrets, Secrets
from flunq.sdk.web.resources import load_resource, shown

if TYPE_CHECKING:
    from flunq.core.document.references import Reference

_NOT_FOUND = 404


class FetchError(Exception):
    """Something cannot be had, and why."""

    def __init__(self, reason: str, hint: str | None = None, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.hint = hint
        self.missing = missing
        """It is not there; other failures may pass."""


class Fetching(msgspec.Struct, frozen=True, kw_only=True):
    """From where, and with what, a client fetches what documents refer to."""

    directory: Path | None = None
    """The folder of the document; None: no files of this machine are read."""
    remote: bool = True
    """Ask the web too."""
    catalog: str | None = None
    """Folder or address of the catalog called ``default``."""
    egress: EgressPolicy = EgressPolicy()
    secrets: Secrets | None = None
    timeout: float = 30.0


class Fetcher:
    """Fetches for one document. Use it with ``async with``."""

    def __init__(self, document: dict[str, Any], fetching: Fetching) -> None:
        self._use = document.get("use") or {}
        self._fetching = fetching
        self._secrets = fetching.secrets or EnvironmentSecrets()
        self._context: ExecutorContext | None = None

    async def __aenter__(self) -> Fetcher:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._context is not None:
            self._context.close()

    def is_left_out(self, address: str) -> bool:
        """Tell whether an address is one that is not to be asked."""
        if self._fetching.remote:
            return False
        if not address.startswith(CATALOG):
            return is_remote(address)
        try:
            return is_remote(self._in_catalog(address)[0])
        except FetchError:
            return True

    async def fetch(self, reference: Reference) -> bytes:
        """Return the content of what is referred to; raises FetchError."""
        address, policy = reference.address, reference.authentication
        if address.startswith(CATALOG):
            address, policy = self._in_catalog(address)
        if is_remote(address):
            return await self._from_web(address, policy)
        return await asyncio.to_thread(self._read, address)

    # --- catalogs -----------------------------------------------------------------------------

    def _in_catalog(self, address: str) -> tuple[str, Any]:
        name, _, path = address.removeprefix(CATALOG).partition("/")
        catalog = (self._use.get("catalogs") or {}).get(name)
        if catalog is None and name == "default":
            return self._in_default(path), None
        if not isinstance(catalog, dict):
            raise FetchError(f"there is no catalog {name!r} in use.catalogs")
        endpoint, policy = place(catalog.get("endpoint"))
        if is_template(endpoint):
            raise FetchError(f"the endpoint of the catalog {name!r} has to be constant")
        return _joined(endpoint, path), policy

    def _in_default(self, path: str) -> str:
        catalog = self._fetching.catalog
        if not catalog:
            hint = "set FLUNQ_CATALOG, or catalog in flunq.toml, to its folder or address"
            raise FetchError("no default catalog is configured", hint)
        if is_remote(catalog) or catalog.startswith("file:"):
            return _joined(catalog, path)
        return (Path(catalog).expanduser().absolute() / path).as_uri()

    # --- files --------------------------------------------------------------------------------

    def _read(self, address: str) -> bytes:
        path = self._path(address)
        try:
            # A device or a pipe would never end.
            if not path.is_file():
                raise FetchError(f"there is no file {path}", missing=True)
            with path.open("rb") as file:
                return _limited(file.read(MAX_RESOURCE + 1), str(path))
        except OSError as error:
            raise FetchError(f"{path} cannot be read: {error.strerror or error}") from error

    def _path(self, address: str) -> Path:
        name = unquote(address.removeprefix("file://") if "://" in address else address[5:])
        if "\0" in name:
            raise FetchError("a path cannot contain NUL")
        directory = self._fetching.directory
        if directory is None:
            hint = "register it with flunq apply, or name the document's folder"
            raise FetchError(f"{name} is a file, and files are not read here", hint)
        return directory / name

    # --- the web ------------------------------------------------------------------------------

    async def _from_web(self, address: str, policy: Any) -> bytes:
        problem = FetchError(f"{shown(address)} cannot be read")
        for source in sources(address):
            try:
                endpoint = {"uri": source, "authentication": self._granted(policy)}
                resource = await load_resource({"endpoint": endpoint}, self._task())
                return _limited(resource.content, shown(source))
            except TaskError as error:
                missing = error.status == _NOT_FOUND
                detail = error.detail or error.title or "it cannot be read"
                where = shown(source)
                reason = detail if where in detail else f"{where}: {detail}"
                problem = FetchError(reason, missing=missing)
                if not missing:
                    break
        raise problem

    def _task(self) -> TaskContext:
        if self._context is None:
            settings = ExecutorSettings(
                egress=self._fetching.egress,
                request_timeout=self._fetching.timeout,
                max_body=MAX_RESOURCE,
            )
            self._context = ExecutorContext(settings, secrets=self._secrets)
        return TaskContext(self._context)

    def _granted(self, policy: Any) -> Any:
        """Return a policy with its values; ``use`` names one of ``use.authentications``."""
        if not isinstance(policy, dict):
            return None
        named = policy.get("use")
        if isinstance(named, str):
            policy = (self._use.get("authentications") or {}).get(named)
            if policy is None:
                raise FetchError(f"there is no authentication {named!r} in use.authentications")
        return self._evaluated(policy)

    def _evaluated(self, policy: Any) -> Any:
        program = compile_template(policy)
        others = sorted(name for name in program.variables if not name.startswith(VARIABLE))
        if others:
            raise FetchError(f"${others[0]} is not known when a document is registered")
        nonce = random.token_hex(16)
        markers = {name: marker(nonce, name.removeprefix(VARIABLE)) for name in program.variables}
        try:
            value = program.evaluate(None, markers)
            return Revealer(nonce, self._secret).value(value)
        except (ExpressionError, NeedsEvaluation, MarkerError) as error:
            raise FetchError(f"the credentials cannot be made: {error}") from error

    def _secret(self, path: list[str]) -> Any:
        value = self._secrets.resolve(path[0])
        for key in path[1:]:
            value = value.get(key) if isinstance(value, dict) else None
        return value


def _joined(endpoint: str, path: str) -> str:
    if is_remote(endpoint):
        return below(endpoint, path)
    try:
        return locate(f"{endpoint.rstrip('/')}/{path}", DOCUMENT)
    except AddressError as error:
        raise FetchError(str(error)) from error


def _limited(content: bytes, name: str) -> bytes:
    if len(content) > MAX_RESOURCE:
        raise FetchError(f"{name} is larger than {MAX_RESOURCE >> 20} MiB")
    return content
