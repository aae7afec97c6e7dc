"""Collects what a document refers to, so that it can be registered along with it."""

from __future__ import annotations

import asyncio
import posixpath
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.client.resources import Fetcher, FetchError, Fetching
from flunq.core.document.addresses import DOCUMENT, AddressError, locate, relation
from flunq.core.document.bundle import (
    ENGINE_ROLES,
    MAX_BUNDLE,
    Bundle,
    Bundled,
    bundled_digest,
    content_hash,
)
from flunq.core.document.checking import circle_text
from flunq.core.document.functions import find_cycle, read_function
from flunq.core.document.references import Reference, in_schema, in_task, in_workflow, relinked
from flunq.core.reading import InvalidDocument, read_source
from flunq.sdk.executor import TaskError
from flunq.sdk.protobuf import proto_imports, proto_package

if TYPE_CHECKING:
    from flunq.core.document.references import Role
    from flunq.core.reading import Document, Problem

MAX_RESOURCES = 500
AT_ONCE = 8


class _Wanted(msgspec.Struct, frozen=True):
    """Something to fetch and the place of the document that led to it."""

    reference: Reference
    place: str
    by: str = ""
    """What refers to it, if that is not the document."""
    imported_by: str = ""
    """The file whose call needs it."""
    name: str = ""
    """How that file calls it."""
    otherwise: str = ""
    """Where it may be instead."""


async def bundle_document(document: Document, fetching: Fetching) -> Bundle:
    """Fetch what a document refers to, and all that this refers to in turn.

    Raises InvalidDocument with a problem for each thing that cannot be had or cannot be used.
    """
    found = list(in_workflow(document.value, DOCUMENT))
    if not found:
        return Bundle(digest=document.digest)
    async with Fetcher(document.value, fetching) as fetcher:
        bundling = _Bundling(document, fetcher)
        await bundling.run([_Wanted(each, each.pointer) for each in found])
    if bundling.problems:
        raise InvalidDocument(bundling.problems, name=document.source.name)
    return bundling.bundle()


class _Bundling:
    """The state of one collection."""

    def __init__(self, document: Document, fetcher: Fetcher) -> None:
        self._document = document
        self._source = document.source
        self._fetcher = fetcher
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._seen: set[tuple[str, str]] = set()
        self._table: dict[str, Bundled] = {}
        self._contents: dict[str, bytes] = {}
        self._functions: dict[str, dict[str, Any]] = {}
        self._policies: dict[str, Any] = {}
        self._proto_bases: dict[str, tuple[str, str]] = {}
        self._turn = asyncio.Lock()
        self.problems: list[Problem] = []

    async def run(self, wanted: list[_Wanted]) -> None:
        """Fetch in rounds: each round what the one before has led to."""
        while wanted:
            fresh = [each for each in wanted if self._is_new(each)]
            if len(self._seen) > MAX_RESOURCES:
                message = f"it refers to more than {MAX_RESOURCES} resources"
                self.problems.append(self._source.problem("", message, "too-many-resources"))
                return
            rounds = await asyncio.gather(*(self._one(each) for each in fresh))
            wanted = [each for found in rounds for each in found]
            if sum(map(len, self._contents.values())) > MAX_BUNDLE:
                message = f"what it refers to is larger than {MAX_BUNDLE >> 20} MiB in all"
                self.problems.append(self._source.problem("", message, "resources-too-large"))
                return
        cycle = find_cycle(self._document.value, self._functions, DOCUMENT)
        if cycle:
            self.problems.append(self._source.problem("/do", circle_text(cycle), "function-cycle"))

    def bundle(self) -> Bundle:
        """Return what was collected."""
        table = dict(sorted(self._table.items()))
        digest = bundled_digest(self._document.digest, table)
        return Bundle(digest=digest, table=table, contents=self._contents)

    def _is_new(self, wanted: _Wanted) -> bool:
        reference = wanted.reference
        key = (reference.address or reference.written, wanted.imported_by or reference.role)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def _complain(self, wanted: _Wanted, message: str, rule: str, hint: str | None = None) -> None:
        if wanted.by:
            message = f"{message}, which {wanted.by} refers to"
        self.problems.append(self._source.problem(wanted.place, message, rule, hint=hint))

    async def _one(self, wanted: _Wanted) -> list[_Wanted]:
        reference = wanted.reference
        if reference.problem:
            self._complain(wanted, f"{reference.written}: {reference.problem}", "bad-address")
            return []
        if self._fetcher.is_left_out(reference.address):
            return []
        try:
            async with self._gate:
                content = await self._fetcher.fetch(self._authorised(reference))
        except FetchError as error:
            if error.missing and wanted.otherwise:
                return [_elsewhere(wanted)]
            self._complain(wanted, str(error), _rule(error, reference), error.hint)
            return []
        try:
            async with self._turn:
                return await asyncio.to_thread(self._take, wanted, content)
        except InvalidDocument as invalid:
            for problem in invalid.problems:
                where = f"{reference.address}:{problem.line}:{problem.column}"
                message = f"{where}: {problem.message}"
                self._complain(wanted, message, problem.rule, problem.hint)
        except (FetchError, TaskError, AddressError) as error:
            self._complain(wanted, f"{reference.address}: {error}", "bad-resource")
        return []

    def _authorised(self, reference: Reference) -> Reference:
        """Let what lies beside something be fetched with the same credentials."""
        policy = reference.authentication
        folder = posixpath.dirname(reference.address) + "/"
        if policy is None:
            near = (p for f, p in self._policies.items() if reference.address.startswith(f))
            policy = next(near, None)
            return msgspec.structs.replace(reference, authentication=policy)
        self._policies.setdefault(folder, policy)
        return reference

    # --- contents -----------------------------------------------------------------------------

    def _take(self, wanted: _Wanted, content: bytes) -> list[_Wanted]:
        reference = wanted.reference
        if reference.role == "function":
            return self._take_function(wanted, content)
        if reference.role == "schema":
            value = read_source(content, name=reference.address).value
            self._put(reference, msgspec.json.encode(value))
            found = in_schema(value, "", reference.address)
            return [_Wanted(each, wanted.place, reference.address) for each in found]
        self._put(reference, content)
        if wanted.imported_by:
            self._note_import(wanted)
        if reference.role == "proto":
            return self._imports_of(wanted, content)
        return self._files_of(wanted, content)

    def _take_function(self, wanted: _Wanted, content: bytes) -> list[_Wanted]:
        address = wanted.reference.address
        value, problems = read_function(content, self._document.value, name=address)
        if problems:
            raise InvalidDocument(problems, name=address)
        self._put(wanted.reference, msgspec.json.encode(value))
        self._functions[address] = value
        use = self._document.value.get("use") or {}
        found = in_task(value, "", address, use)
        return [_Wanted(each, wanted.place, address) for each in found]

    def _put(self, reference: Reference, content: bytes) -> None:
        known = self._table.get(reference.address)
        if known is not None and known.role in ENGINE_ROLES:
            return  # a file that is a schema as well is kept as one; executors read it too
        digest = content_hash(content)
        self._contents[digest] = content
        imports = {} if known is None else known.imports
        self._table[reference.address] = Bundled(
            sha256=digest, role=reference.role, imports=imports
        )

    def _note_import(self, wanted: _Wanted) -> None:
        entry = self._table[wanted.imported_by]
        imports = {**entry.imports, wanted.name: wanted.reference.address}
        self._table[wanted.imported_by] = msgspec.structs.replace(entry, imports=imports)

    # --- files that need other files ----------------------------------------------------------

    def _imports_of(self, wanted: _Wanted, content: bytes) -> list[_Wanted]:
        """Find the files that a proto file imports: in its folder, or where its package begins."""
        entry = wanted.imported_by or wanted.reference.address
        text = content.decode("utf-8", "replace")
        if not wanted.imported_by:
            self._proto_bases[entry] = _proto_bases(entry, proto_package(text))
        folder, root = self._proto_bases[entry]
        return [
            self._import(wanted, name, locate(name, folder), "proto", locate(name, root))
            for name in proto_imports(text)
        ]

    def _files_of(self, wanted: _Wanted, content: bytes) -> list[_Wanted]:
        """Find the parts of a description that lies in several files."""
        entry = wanted.imported_by or wanted.reference.address
        value = _parsed(content, wanted.reference.address)
        found: list[_Wanted] = []

        def note(written: str, address: str, pointer: str) -> None:
            if "://" not in written:
                found.append(self._import(wanted, relation(address, entry), address, "file"))

        relinked(value, wanted.reference.address, note)
        return found

    def _import(
        self, wanted: _Wanted, name: str, address: str, role: Role, otherwise: str = ""
    ) -> _Wanted:
        entry = wanted.imported_by or wanted.reference.address
        reference = Reference(pointer="", written=name, address=address, role=role)
        other = "" if otherwise == address else otherwise
        by = wanted.reference.address
        return _Wanted(reference, wanted.place, by, imported_by=entry, name=name, otherwise=other)


def _elsewhere(wanted: _Wanted) -> _Wanted:
    reference = msgspec.structs.replace(wanted.reference, address=wanted.otherwise)
    return msgspec.structs.replace(wanted, reference=reference, otherwise="")


def _proto_bases(entry: str, package: str) -> tuple[str, str]:
    """Return the addresses from which imports are meant: of the file, or of its package's root."""
    ups = package.count(".") + 1 if package else 0
    folder = posixpath.dirname(entry)
    within = package.replace(".", "/")
    if not package or not f"/{folder.partition(':')[2]}".endswith(f"/{within}"):
        return entry, entry
    return entry, locate("../" * ups + "root", entry)


def _rule(error: FetchError, reference: Reference) -> str:
    if not error.missing:
        return "unreachable-resource"
    return "missing-resource" if reference.role in ENGINE_ROLES else "missing-file"


def _parsed(content: bytes, address: str) -> Any:
    """Return the value of a JSON or YAML file, None of any other."""
    if not address.lower().endswith((".json", ".yaml", ".yml")):
        return None
    try:
        return read_source(content, name=address).value
    except InvalidDocument:
        return None
