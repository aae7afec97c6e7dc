"""Proto files: the one that a call names, and those that it imports."""

from __future__ import annotations

import asyncio
import posixpath
from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import msgspec

from flunq.sdk.executor import TaskError
from flunq.sdk.protobuf import proto_imports, proto_package
from flunq.sdk.web.resources import BUNDLED, load_resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.sdk.context import TaskContext
    from flunq.sdk.web.resources import Resource

MAX_FILES = 64
MAX_BYTES = 2 * 1024 * 1024
_ENTRY = "service.proto"
_KEPT = 256


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a compiler needs."""

    entry: str
    files: dict[str, str]

    @property
    def digest(self) -> str:
        """Return what tells these sources from all others."""
        return sha256(msgspec.json.encode((self.entry, sorted(self.files.items())))).hexdigest()


class Loader:
    """Loads proto files with what they import."""

    def __init__(self) -> None:
        self._imports: OrderedDict[bytes, list[str]] = OrderedDict()

    async def load(self, proto: Any, context: TaskContext) -> Sources:
        """Load a proto file and its imports; ``proto.imports`` may say where those are."""
        resource = await load_resource(proto, context)
        text = resource.text()
        search = _Search(proto, resource, text)
        files = {search.entry: text}
        wanted = await self._imports_of(files, text)
        while wanted:
            name = wanted.pop()
            if name not in files:
                files[name] = text = await search.load(name, context)
                wanted += await self._imports_of(files, text)
        return Sources(entry=search.entry, files=files)

    async def _imports_of(self, files: dict[str, str], text: str) -> list[str]:
        if len(files) > MAX_FILES or sum(map(len, files.values())) > MAX_BYTES:
            detail = f"it has more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB"
            raise TaskError("validation", 400, "The proto file is too large", detail)
        digest = sha256(text.encode()).digest()
        if digest not in self._imports:
            self._imports[digest] = await asyncio.to_thread(proto_imports, text)
        self._imports.move_to_end(digest)
        names = list(self._imports[digest])
        while len(self._imports) > _KEPT:
            self._imports.popitem(last=False)
        return names


class _Search:
    """Where imported files may be found."""

    def __init__(self, proto: Any, resource: Resource, text: str) -> None:
        self._known: dict[str, Any] = {}
        self._policy: Any = None
        if isinstance(proto, dict):
            self._known = proto.get("imports") or {}
            endpoint = proto.get("endpoint")
            self._policy = endpoint.get("authentication") if isinstance(endpoint, dict) else None
        self._bases = [] if resource.uri.startswith(BUNDLED) else list(_bases(resource.uri, text))
        self.entry = _entry(resource.uri)

    async def load(self, name: str, context: TaskContext) -> str:
        """Return the text of an imported file."""
        if name in self._known:
            return (await load_resource(self._known[name], context)).text()
        problem = "it was not bundled with the definition"
        for base in self._bases:
            endpoint = {"uri": urljoin(base, name), "authentication": self._policy}
            try:
                return (await load_resource({"endpoint": endpoint}, context)).text()
            except TaskError as error:
                problem = error.detail or problem
                if error.status != 404:
                    raise
        detail = f"the imported file {name} is not there: {problem}"
        raise TaskError("configuration", 400, "A proto file is missing", detail)


def _bases(uri: str, text: str) -> Iterator[str]:
    """Give the folder of the file, then the one where the folders of its package begin."""
    folder = urljoin(uri, ".")
    yield folder
    package = proto_package(text).replace(".", "/")
    if package and folder.endswith(f"/{package}/"):
        yield folder.removesuffix(f"{package}/")


def _entry(uri: str) -> str:
    name = posixpath.basename(urlsplit(uri).path)
    safe = name.removesuffix(".proto").replace("_", "").replace("-", "")
    return name if safe.isalnum() and safe.isascii() and name.endswith(".proto") else _ENTRY
