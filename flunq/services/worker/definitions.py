"""Registered workflow definitions: versioned, immutable, cached by digest."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.document.bundle import ENGINE_ROLES, Bundled, Library
from flunq.core.document.compiler import compile_workflow
from flunq.core.execution.commands import WorkflowRef
from flunq.core.ids import token, untoken
from flunq.core.protocol import Definition, DefinitionText
from flunq.core.retention import Retention, retention_of
from flunq.errors import NotFoundError, RejectedError
from flunq.log.ports import Blobs, KeyValue, RevisionConflictError
from flunq.services.contents import read_content
from flunq.services.sharing import Shared

if TYPE_CHECKING:
    from flunq.core.document.model import Workflow
    from flunq.services.clock import Clock

log = logging.getLogger(__name__)

LATEST_MICROSECONDS = 2_000_000
"""How long a name's newest version may be believed without asking again."""
KEPT = 1_000
"""Compiled workflows beside those of executions in memory: some make a new one for each run."""


class _Stored(msgspec.Struct, kw_only=True):
    digest: str
    text: str
    document: dict[str, Any]
    created_at: int
    resources: dict[str, Bundled] = {}


class _Versions(msgspec.Struct, kw_only=True):
    latest: str
    versions: dict[str, tuple[str, int, str]]
    """version -> (digest, created_at, title)"""


def split_name(name: str) -> tuple[str | None, str, str | None]:
    """Split ``[namespace/]name[:version]``."""
    rest, _, version = name.partition(":")
    namespace, slash, plain = rest.rpartition("/")
    return (namespace if slash else None), plain, version or None


class Definitions:
    """The definitions bucket of a tenant, with the compiled workflows of this process."""

    def __init__(
        self, bucket: KeyValue, tenant: str, clock: Clock, blobs: Blobs | None = None
    ) -> None:
        self._bucket = bucket
        self._blobs = blobs
        self._clock = clock
        self._prefix = token(tenant)
        self._compiled: OrderedDict[str, Workflow] = OrderedDict()
        self._retentions: dict[str, Retention | None] = {}
        self._resolved: dict[str, tuple[int, WorkflowRef]] = {}
        # All of a tenant are changed by one process: a deletion must not undo what is applied.
        self._turn = asyncio.Lock()
        # One question for all who ask at the same time: a busy node has hundreds of starts.
        self._lookups: Shared[WorkflowRef] = Shared()
        self._compilations: Shared[Workflow] = Shared()

    def cached(self, digest: str) -> Workflow | None:
        """Return a workflow if it is in memory."""
        workflow = self._compiled.get(digest)
        if workflow is not None:
            self._compiled.move_to_end(digest)
        return workflow

    def forget_names(self) -> None:
        """Ask again which version of a name is the newest."""
        # What is being looked up may be older than what was just registered.
        self._resolved = {}
        self._lookups.forget()

    def resolved(self, name: str) -> WorkflowRef | None:
        """Return what a name stands for if it was looked up a moment ago."""
        found = self._resolved.get(name)
        if found is None or found[0] < self._clock.now():
            return None
        return found[1]

    async def get(self, digest: str) -> Workflow:
        """Return a workflow by digest; raises NotFoundError, or RejectedError if it is broken."""
        workflow = self.cached(digest)
        if workflow is None:
            workflow = await self._compilations.result(digest, partial(self._compile, digest))
        return workflow

    async def _compile(self, digest: str) -> Workflow:
        entry = await self._bucket.get(self._digest_key(digest))
        if entry is None:
            raise NotFoundError(f"no definition with digest {digest[:12]}")
        stored = msgspec.json.decode(entry.value, type=_Stored)
        library = await self.library(stored.resources)
        try:
            workflow = compile_workflow(stored.document, digest, library)
        except Exception as error:  # one document must not stop a node
            log.exception("the definition %s cannot be compiled", digest)
            head = stored.document["document"]
            name = f"{head['namespace']}/{head['name']}:{head['version']}"
            reason = f"{type(error).__name__}: {error}"
            raise RejectedError(
                f"workflow {name} cannot be compiled, which is a defect of the engine: {reason}"
            ) from error
        self._compiled[digest] = workflow
        if len(self._compiled) > KEPT:
            self._compiled.popitem(last=False)
        return workflow

    async def library(self, resources: dict[str, Bundled]) -> Library:
        """Return what the engine itself needs of a definition's resources."""
        wanted = {entry.sha256 for entry in resources.values() if entry.role in ENGINE_ROLES}
        contents = [(digest, await read_content(self._blobs, digest)) for digest in sorted(wanted)]
        return Library(resources, dict(contents))

    async def resolve(self, name: str) -> WorkflowRef:
        """Return what ``[namespace/]name[:version]`` stands for; raises NotFoundError."""
        known = self.resolved(name)
        if known is None:
            known = await self._lookups.result(name, partial(self._look_up, name))
        return known

    async def _look_up(self, name: str) -> WorkflowRef:
        resolved = self._resolved
        ref = await self._newest(name)
        resolved[name] = (self._clock.now() + LATEST_MICROSECONDS, ref)
        return ref

    async def _newest(self, name: str) -> WorkflowRef:
        namespace, plain, version = split_name(name)
        found_namespace, versions = await self._find(namespace, plain, name)
        chosen = versions.latest if version in (None, "latest") else version
        if chosen not in versions.versions:
            have = ", ".join(sorted(versions.versions))
            raise NotFoundError(
                f"workflow {found_namespace}/{plain} has no version {chosen}",
                hint=f"registered versions: {have}",
            )
        return WorkflowRef(
            namespace=found_namespace,
            name=plain,
            version=chosen,
            digest=versions.versions[chosen][0],
        )

    async def apply(
        self,
        document: dict[str, Any],
        text: str,
        digest: str,
        now: int,
        resources: dict[str, Bundled] | None = None,
    ) -> tuple[WorkflowRef, bool]:
        """Register a definition; tell whether it is new.

        A version is immutable: registering other content under it raises RejectedError.
        """
        head = document["document"]
        namespace, name, version = head["namespace"], head["name"], str(head["version"])
        ref = WorkflowRef(namespace=namespace, name=name, version=version, digest=digest)
        stored = _Stored(
            digest=digest, text=text, document=document, created_at=now, resources=resources or {}
        )
        async with self._turn:
            return ref, await self._add(ref, stored, str(head.get("title", "")))

    async def _add(self, ref: WorkflowRef, stored: _Stored, title: str) -> bool:
        """Add a version to those of its name; tell whether it is new."""
        key = self._name_key(ref.namespace, ref.name)
        while True:
            entry = await self._bucket.get(key)
            versions = (
                msgspec.json.decode(entry.value, type=_Versions)
                if entry
                else _Versions(latest=ref.version, versions={})
            )
            existing = versions.versions.get(ref.version)
            if existing is not None:
                if existing[0] == ref.digest:
                    return False
                raise RejectedError(
                    f"{ref} is registered with other content",
                    hint="a version never changes: raise document.version",
                )
            await self._bucket.put(self._digest_key(ref.digest), msgspec.json.encode(stored))
            versions.versions[ref.version] = (ref.digest, stored.created_at, title)
            versions.latest = ref.version
            try:
                await self._bucket.swap(
                    key, msgspec.json.encode(versions), revision=entry.revision if entry else 0
                )
            except RevisionConflictError:
                continue
            self.forget_names()
            return True

    async def all(self, prefix: str = "") -> list[Definition]:
        """Return all registered versions, by name, newest last."""
        found: list[Definition] = []
        head = f"{self._prefix}.n."
        for key in await self._bucket.keys(head):
            entry = await self._bucket.get(key)
            if entry is None:
                continue
            namespace, name = (untoken(part) for part in key[len(head) :].split("."))
            if not f"{namespace}/{name}".startswith(prefix) and not name.startswith(prefix):
                continue
            versions = msgspec.json.decode(entry.value, type=_Versions)
            found += _definitions(namespace, name, versions)
        return sorted(found, key=lambda d: (d.namespace, d.name, d.created_at))

    async def text(self, name: str) -> DefinitionText:
        """Return a definition as it was written."""
        ref = await self.resolve(name)
        entry = await self._bucket.get(self._digest_key(ref.digest))
        if entry is None:
            raise NotFoundError(f"no definition with digest {ref.digest[:12]}")
        stored = msgspec.json.decode(entry.value, type=_Stored)
        definition = Definition(
            namespace=ref.namespace,
            name=ref.name,
            version=ref.version,
            digest=ref.digest,
            created_at=stored.created_at,
        )
        return DefinitionText(
            definition=definition,
            text=stored.text,
            document=stored.document,
            resources={address: entry.sha256 for address, entry in stored.resources.items()},
        )

    async def retention(self, name: str) -> Retention | None:
        """Return what the newest version of ``namespace/name`` says about ended executions.

        None if it says nothing, or is registered no more. Raises RetentionError.
        """
        try:
            ref = await self.resolve(name)
        except NotFoundError:
            return None
        if ref.digest not in self._retentions:
            entry = await self._bucket.get(self._digest_key(ref.digest))
            document = msgspec.json.decode(entry.value, type=_Stored).document if entry else {}
            self._retentions[ref.digest] = retention_of(document)
        return self._retentions[ref.digest]

    async def delete(self, name: str) -> list[str]:
        """Unregister a version, or all versions of a name; open executions keep theirs."""
        async with self._turn:
            return await self._delete(name)

    async def _delete(self, name: str) -> list[str]:
        namespace, plain, version = split_name(name)
        found_namespace, versions = await self._find(namespace, plain, name)
        gone = [version] if version else sorted(versions.versions)
        if version and version not in versions.versions:
            raise NotFoundError(f"workflow {found_namespace}/{plain} has no version {version}")
        for one in gone:
            del versions.versions[one]
        key = self._name_key(found_namespace, plain)
        if versions.versions:
            versions.latest = max(versions.versions, key=lambda v: versions.versions[v][1])
            await self._bucket.put(key, msgspec.json.encode(versions))
        else:
            await self._bucket.delete(key)
        self.forget_names()
        return [f"{found_namespace}/{plain}:{one}" for one in gone]

    async def _find(self, namespace: str | None, name: str, asked: str) -> tuple[str, _Versions]:
        if namespace is None:
            head = f"{self._prefix}.n."
            tail = f".{token(name)}"
            keys = [key for key in await self._bucket.keys(head) if key.endswith(tail)]
            if len(keys) > 1:
                spaces = ", ".join(untoken(key[len(head) : -len(tail)]) for key in keys)
                raise RejectedError(
                    f"'{name}' is in several namespaces", hint=f"name one of: {spaces}"
                )
            namespace = untoken(keys[0][len(head) : -len(tail)]) if keys else ""
        entry = await self._bucket.get(self._name_key(namespace, name)) if namespace else None
        if entry is None:
            raise NotFoundError(
                f"no workflow named {asked}", hint="register it with: flunq apply FILE"
            )
        return namespace, msgspec.json.decode(entry.value, type=_Versions)

    def _digest_key(self, digest: str) -> str:
        return f"{self._prefix}.d.{digest}"

    def _name_key(self, namespace: str, name: str) -> str:
        return f"{self._prefix}.n.{token(namespace)}.{token(name)}"


def _definitions(namespace: str, name: str, versions: _Versions) -> list[Definition]:
    return [
        Definition(
            namespace=namespace,
            name=name,
            version=version,
            digest=digest,
            created_at=created_at,
            title=title,
            latest=version == versions.latest,
        )
        for version, (digest, created_at, title) in versions.versions.items()
    ]
