"""What a document refers to outside of itself: schemas, functions, files for executors.

Only what is known before an execution is found here: addresses with ``{`` are made at run time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urljoin

import msgspec

from flunq.core.document.addresses import (
    AddressError,
    function_address,
    is_function_address,
    is_remote,
    is_template,
    locate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Role: TypeAlias = Literal["schema", "function", "proto", "file"]

FILES = {"openapi": "document", "asyncapi": "document", "grpc": "proto", "a2a": "agentCard"}
"""The argument of a call that is an external resource."""
PROTOCOLS = frozenset({"http", "mcp", *FILES})
_DATA = frozenset({"const", "enum", "default", "example", "examples"})
"""Members of a schema whose values are no schemas."""
_LISTS: tuple[tuple[str, ...], ...] = (
    ("do",),
    ("try",),
    ("catch", "do"),
    ("fork", "branches"),
    ("foreach", "do"),
    ("with", "subscription", "foreach", "do"),
)
_ITERATORS: tuple[tuple[str, ...], ...] = (("foreach",), ("with", "subscription", "foreach"))
_STAGES = ("input", "output", "export")


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing outside that something refers to."""

    pointer: str
    """Where it is referred to."""
    written: str
    address: str = ""
    role: Role = "file"
    authentication: Any = None
    problem: str = ""
    """Why it has no address."""


def in_workflow(document: dict[str, Any], base: str) -> Iterator[Reference]:
    """Yield what a workflow document refers to."""
    use = document.get("use") or {}
    for key in ("input", "output"):
        yield from _in_stage(document.get(key), f"/{key}", base)
    yield from _in_tasks(document.get("do"), "/do", base, use)
    for name, task in (use.get("functions") or {}).items():
        yield from in_task(task, f"/use/functions/{escape(name)}", base, use)
    for index, entry in enumerate(use.get("extensions") or []):
        for name, extension in entry.items():
            for key in ("before", "after"):
                pointer = f"/use/extensions/{index}/{escape(name)}/{key}"
                yield from _in_tasks(extension.get(key), pointer, base, use)


def in_task(
    task: dict[str, Any], pointer: str, base: str, use: dict[str, Any]
) -> Iterator[Reference]:
    """Yield what a task, and those inside of it, refer to."""
    for key in _STAGES:
        yield from _in_stage(task.get(key), f"{pointer}/{key}", base)
    yield from _of_call(task, pointer, base, use)
    yield from _of_script(task, pointer, base)
    for path in _LISTS:
        tasks = _at(task, path)
        yield from _in_tasks(tasks, f"{pointer}/{'/'.join(path)}", base, use)
    for path in _ITERATORS:
        iterator = _at(task, path)
        for key in ("output", "export"):
            stage = iterator.get(key) if isinstance(iterator, dict) else None
            yield from _in_stage(stage, f"{pointer}/{'/'.join(path)}/{key}", base)


def in_schema(schema: Any, pointer: str, base: str) -> Iterator[Reference]:
    """Yield the other documents that a schema refers to."""
    found: list[Reference] = []

    def note(written: str, address: str, where: str) -> None:
        found.append(Reference(pointer=where, written=written, address=address, role="schema"))

    try:
        relinked(schema, base, note, pointer)
    except AddressError as error:
        problem = str(error)
        found.append(Reference(pointer=pointer, written="$ref", role="schema", problem=problem))
    return iter(found)


def called_functions(task: dict[str, Any]) -> list[str]:
    """Return the names that the tasks of a task call, those outside of the document included."""
    names: list[str] = []
    stack = [task]
    while stack:
        current = stack.pop()
        call = current.get("call")
        if isinstance(call, str) and call not in PROTOCOLS:
            names.append(call)
        for path in _LISTS:
            for entry in _at(current, path) or []:
                stack.extend(entry.values())
    return names


def _in_tasks(tasks: Any, pointer: str, base: str, use: dict[str, Any]) -> Iterator[Reference]:
    for index, entry in enumerate(tasks or []):
        for name, task in entry.items():
            yield from in_task(task, f"{pointer}/{index}/{escape(name)}", base, use)


def _in_stage(stage: Any, pointer: str, base: str) -> Iterator[Reference]:
    schema = stage.get("schema") if isinstance(stage, dict) else None
    if not isinstance(schema, dict):
        return
    if "resource" in schema:
        endpoint = schema["resource"].get("endpoint")
        yield from _resource(endpoint, f"{pointer}/schema/resource", base, "schema")
    else:
        yield from in_schema(schema.get("document"), f"{pointer}/schema/document", base)


def _of_call(
    task: dict[str, Any], pointer: str, base: str, use: dict[str, Any]
) -> Iterator[Reference]:
    call = task.get("call")
    if not isinstance(call, str) or call == "http":
        return
    if call in FILES:
        key = FILES[call]
        role: Role = "proto" if call == "grpc" else "file"
        resource = (task.get("with") or {}).get(key)
        yield from _file(resource, f"{pointer}/with/{key}", base, role)
    elif is_function_address(call) and call not in (use.get("functions") or {}):
        yield _reference(call, f"{pointer}/call", base, "function", None)


def _of_script(task: dict[str, Any], pointer: str, base: str) -> Iterator[Reference]:
    source = _at(task, ("run", "script", "source"))
    yield from _file(source, f"{pointer}/run/script/source", base, "file")


def _file(resource: Any, pointer: str, base: str, role: Role) -> Iterator[Reference]:
    """Files and what is relative are bundled; executors load what has an address of the web."""
    if not isinstance(resource, dict):
        return
    written, _ = place(resource.get("endpoint"))
    if not is_remote(written.lower()):
        yield from _resource(resource.get("endpoint"), pointer, base, role)


def _resource(endpoint: Any, pointer: str, base: str, role: Role) -> Iterator[Reference]:
    written, authentication = place(endpoint)
    if written and not is_template(written):
        where = f"{pointer}/endpoint" + ("/uri" if isinstance(endpoint, dict) else "")
        yield _reference(written, where, base, role, authentication)
    elif role == "schema":
        problem = "the address of a schema has to be constant"
        yield Reference(pointer=pointer, written=written, role=role, problem=problem)


def _reference(written: str, pointer: str, base: str, role: Role, auth: Any) -> Reference:
    try:
        find = function_address if role == "function" else locate
        address = find(written, base)
    except AddressError as error:
        return Reference(pointer=pointer, written=written, role=role, problem=str(error))
    return Reference(
        pointer=pointer, written=written, address=address, role=role, authentication=auth
    )


def place(endpoint: Any) -> tuple[str, Any]:
    """Return the URI and the authentication of an endpoint."""
    if isinstance(endpoint, dict):
        return str(endpoint.get("uri", "")), endpoint.get("authentication")
    return (endpoint if isinstance(endpoint, str) else ""), None


def escape(name: str) -> str:
    """Escape a name for a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


# --- links between schemas --------------------------------------------------------------------


def relinked(
    schema: Any, base: str, link: Callable[[str, str, str], str | None], pointer: str = ""
) -> Any:
    """Return a schema with other links to other documents.

    ``link`` gets what is written, its address and its pointer; what it returns takes the place of
    the address. Links inside of the document stay as they are.
    """
    return _Relinking(schema, base, link).visit(schema, base, pointer)


class _Relinking:
    def __init__(self, schema: Any, base: str, link: Callable[[str, str, str], str | None]) -> None:
        self._link = link
        self._key = "id" if "draft-04" in str(_at(schema, ("$schema",))) else "$id"
        self._inside: set[str] = set()
        self._collect(schema, base)

    def _collect(self, schema: Any, base: str) -> None:
        if isinstance(schema, list):
            for item in schema:
                self._collect(item, base)
        elif isinstance(schema, dict):
            own = self._base(schema, base)
            if own is not base:
                self._inside.add(own)
                base = own
            for key, value in schema.items():
                if key not in _DATA:
                    self._collect(value, base)

    def _base(self, schema: dict[str, Any], base: str) -> str:
        name = schema.get(self._key)
        return _joined(base, name) if isinstance(name, str) and name[:1] != "#" else base

    def visit(self, schema: Any, base: str, pointer: str) -> Any:
        if isinstance(schema, list):
            return [self.visit(item, base, f"{pointer}/{i}") for i, item in enumerate(schema)]
        if not isinstance(schema, dict):
            return schema
        base = self._base(schema, base)
        return {
            key: self._member(key, value, base, f"{pointer}/{escape(key)}")
            for key, value in schema.items()
        }

    def _member(self, key: str, value: Any, base: str, pointer: str) -> Any:
        if key in _DATA:
            return value
        if key in ("$ref", "$dynamicRef") and isinstance(value, str) and value[:1] != "#":
            return self._followed(value, base, pointer)
        return self.visit(value, base, pointer)

    def _followed(self, written: str, base: str, pointer: str) -> str:
        address, mark, fragment = _joined(base, written).partition("#")
        if address in self._inside or _is_dialect(address):
            return written
        other = self._link(written, address, pointer)
        return written if other is None else other + mark + fragment


def _joined(base: str, written: str) -> str:
    """Return an absolute URI with its fragment: plain names and URNs are taken as they are."""
    if written.startswith("urn:") or base.startswith("urn:"):
        return written
    target, mark, fragment = written.partition("#")
    if not target:
        return base + mark + fragment
    if is_remote(base) and "://" not in target:
        return urljoin(base, written)
    return locate(target, base) + mark + fragment


def _is_dialect(address: str) -> bool:
    return address.startswith(("http://json-schema.org/", "https://json-schema.org/"))
