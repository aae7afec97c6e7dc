"""Compiled proto files: their services and methods, and messages from and to JSON."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError

from flunq.sdk.executor import JSON, TaskError
from flunq_plugins import grpc_protoc

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from flunq_plugins.grpc_sources import Sources

DEADLINE = 20.0
"""Seconds that a compilation may take."""
_MEMORY = 768 << 20
_CPU_SECONDS = 10
_KEPT = 64
_COMPILERS = 2
_EXCERPT = 600


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """One method of a service."""

    path: str
    """``/package.Service/Method``"""
    request: Any
    reply: Any
    streams_requests: bool
    streams_replies: bool
    pool: Any

    def encode(self, value: Any) -> bytes:
        """Return a request on the wire; raises a ``validation`` TaskError."""
        message: Message = self.request()
        try:
            json_format.ParseDict(value, message, descriptor_pool=self.pool)
            return message.SerializeToString()
        except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
            detail = f"{self.path} does not take these arguments: {error}"
            raise TaskError("validation", 400, "Not a valid gRPC call", detail) from error

    def decode(self, data: bytes) -> JSON:
        """Return a reply as JSON; fields that are not set have their default values."""
        message: Message = self.reply()
        try:
            message.ParseFromString(data)
            value: JSON = json_format.MessageToDict(
                message,
                always_print_fields_with_no_presence=True,
                descriptor_pool=self.pool,
            )
            return value
        except (DecodeError, json_format.Error, ValueError, TypeError, RecursionError) as error:
            detail = f"the answer of {self.path} cannot be read: {error}"
            raise TaskError("communication", 502, detail=detail) from error


class Schema:
    """The services of a compiled proto file."""

    def __init__(self, descriptors: bytes) -> None:
        self._pool = descriptor_pool.DescriptorPool()
        self._services: dict[str, descriptor_pb2.ServiceDescriptorProto] = {}
        for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors).file:
            self._pool.Add(file)
            prefix = f"{file.package}." if file.package else ""
            self._services |= {prefix + service.name: service for service in file.service}

    def method(self, service: str, name: str) -> Method:
        """Find a method; the service's name may lack its package."""
        full = self._service(service)
        methods = {method.name: method for method in self._services[full].method}
        if name not in methods:
            raise _unknown(f"{full} has no method {name!r}", methods)
        found = methods[name]
        return Method(
            path=f"/{full}/{name}",
            request=self._message(found.input_type),
            reply=self._message(found.output_type),
            streams_requests=found.client_streaming,
            streams_replies=found.server_streaming,
            pool=self._pool,
        )

    def _service(self, name: str) -> str:
        if name in self._services:
            return name
        found = [full for full in self._services if full.endswith(f".{name}")]
        if len(found) > 1:
            raise _unknown(f"there are several services {name!r}", found)
        if not found:
            raise _unknown(f"there is no service {name!r}", self._services)
        return found[0]

    def _message(self, name: str) -> Any:
        descriptor = self._pool.FindMessageTypeByName(name.removeprefix("."))
        return message_factory.GetMessageClass(descriptor)


class Schemas:
    """Compiles sources once, and keeps what was used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Schema] = OrderedDict()
        self._compiling = asyncio.Semaphore(_COMPILERS)

    async def of(self, sources: Sources) -> Schema:
        """Return the compiled form of sources."""
        digest = sources.digest
        if digest not in self._kept:
            # A file that takes long must not keep all others waiting, nor all processors busy.
            async with self._compiling:
                if digest not in self._kept:
                    self._kept[digest] = await _compiled(sources)
        self._kept.move_to_end(digest)
        schema = self._kept[digest]
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return schema


async def _compiled(sources: Sources) -> Schema:
    folder = await asyncio.to_thread(_written, sources)
    try:
        code = await _run(folder, sources.entry)
        return await asyncio.to_thread(_read, Path(folder.name), code)
    finally:
        await asyncio.shield(asyncio.to_thread(folder.cleanup))


def _written(sources: Sources) -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="flunq-proto-", ignore_cleanup_errors=True)
    for name, text in sources.files.items():
        path = Path(folder.name, "sources", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


async def _run(folder: tempfile.TemporaryDirectory[str], entry: str) -> int | None:
    """Return the compiler's exit code, None when it had to be killed."""
    limits = (str(_MEMORY), str(_CPU_SECONDS))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", grpc_protoc.__file__, folder.name, entry, *limits),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd=folder.name,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(DEADLINE):
            return await process.wait()
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _read(folder: Path, code: int | None) -> Schema:
    if code != 0:
        raise _not_compiled(_complaint(folder) if code == 1 else "the compiler was stopped")
    try:
        return Schema((folder / grpc_protoc.OUTPUT).read_bytes())
    except (DecodeError, TypeError, ValueError) as error:
        raise _not_compiled(str(error)) from error


def _complaint(folder: Path) -> str:
    with (folder / grpc_protoc.ERRORS).open("rb") as file:
        text = file.read(_EXCERPT * 4).decode("utf-8", "replace")
    return text.replace(f"{folder}/sources/", "").strip()[:_EXCERPT] or "it gives no reason"


def _not_compiled(problem: str) -> TaskError:
    return TaskError("configuration", 400, "The proto file does not compile", problem)


def _unknown(problem: str, known: Any) -> TaskError:
    detail = f"{problem}; the proto file has: {', '.join(sorted(known)) or 'none'}"
    return TaskError("configuration", 400, "Not a valid gRPC call", detail[:_EXCERPT])
