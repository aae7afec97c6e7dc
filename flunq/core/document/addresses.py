"""Where the things are that a document refers to: from what is written to one address for each.

An address is an absolute ``http`` or ``https`` URI, a file (``file:///absolute`` or
``file:below/the/folder/of/the/document``), or a place in a catalog
(``catalog:NAME/functions/log/1.0.0/function.yaml``). So the same document has the same addresses
on every machine, whatever folder it lies in.
"""

from __future__ import annotations

import posixpath
import re
from urllib.parse import urljoin, urlsplit, urlunsplit

DOCUMENT = "file:"
"""The base of the document itself: its own folder."""
CATALOG = "catalog:"
MAX_UP = 32
"""How far a relative address may climb above the document's folder."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_FUNCTION = re.compile(r"([^:@/\s]+):([^:@/\s]+)@([^:@/\s]+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_RAW_GITHUB = "raw.githubusercontent.com"


class AddressError(Exception):
    """What is written is no address that can be used at this place."""


def is_remote(address: str) -> bool:
    """Tell whether an address is one of the web."""
    return address.startswith(("http://", "https://"))


def is_template(text: str) -> bool:
    """Tell whether a URI is known only when the task runs."""
    return "{" in text


def locate(written: str, base: str) -> str:
    """Return the address of what is ``written`` in the document at ``base``.

    ``file:///x`` is the file ``/x``. ``file://x/y``, ``file:x/y`` and plain ``x/y`` are relative to
    what refers to them. Something from the web, or from a catalog, cannot name local files.
    """
    scheme = _SCHEME.match(written)
    name = scheme[1].lower() if scheme else ""
    if name in ("http", "https"):
        return written.partition("#")[0]
    if name not in ("", "file"):
        raise AddressError(f"resources come from http, https and file, not from {name}:")
    path = written[5:] if name else written
    path = path.partition("#")[0]
    if path.startswith("//"):
        host, slash, rest = path[2:].partition("/")
        path = f"/{rest}" if host in ("", "localhost") and slash else path[2:]
    return _absolute(path, base) if path.startswith("/") else _relative(path, base)


def _absolute(path: str, base: str) -> str:
    if not base.startswith("file:"):
        raise AddressError("only documents that are local files may name local files")
    return "file://" + posixpath.normpath(path)


def _relative(path: str, base: str) -> str:
    if not path:
        raise AddressError("a resource needs an address")
    if is_remote(base):
        return urljoin(base, path)
    scheme = next(
        prefix for prefix in ("file:///", DOCUMENT, CATALOG, base) if base.startswith(prefix)
    )
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(base[len(scheme) :]), path))
    ups = joined.split("/").count("..")
    if ups and (scheme != DOCUMENT or ups > MAX_UP):
        raise AddressError(f"{path} lies outside of where it may look")
    return scheme + joined


def relation(address: str, base: str) -> str:
    """Return an address relative to another one of the same kind, or as it is."""
    one, other = _split(address), _split(base)
    if one[0] != other[0]:
        return address
    return posixpath.relpath("/" + one[1], posixpath.dirname("/" + other[1]))


def _split(address: str) -> tuple[str, str]:
    if is_remote(address):
        parts = urlsplit(address)
        return f"{parts.scheme}://{parts.netloc}", parts.path
    scheme, _, path = address.partition(":")
    return (scheme + ":///", path[3:]) if path.startswith("///") else (scheme, path)


# --- functions --------------------------------------------------------------------------------


def is_function_address(call: str) -> bool:
    """Tell whether a ``call`` names a function outside of the document."""
    return (
        "://" in call or call.startswith(("file:", "./", "../", "/")) or cataloged(call) is not None
    )


def cataloged(call: str) -> tuple[str, str, str] | None:
    """Split ``name:version@catalog``."""
    match = _FUNCTION.fullmatch(call)
    return (match[1], match[2], match[3]) if match else None


def function_address(call: str, base: str) -> str:
    """Return the address of the function that a ``call`` names."""
    parts = cataloged(call)
    if parts is None:
        return locate(call, base)
    name, version, catalog = parts
    return f"{CATALOG}{catalog}/functions/{name}/{version}/function.yaml"


def function_name(address: str) -> str:
    """Return how a function is called in pointers: ``name:version@catalog``, or its address."""
    if not address.startswith(CATALOG):
        return address
    catalog, _, path = address.removeprefix(CATALOG).partition("/")
    parts = path.split("/")
    if len(parts) != 4 or (parts[0], parts[3]) != ("functions", "function.yaml"):
        return address
    return f"{parts[1]}:{parts[2]}@{catalog}"


# --- repositories -----------------------------------------------------------------------------


def sources(uri: str) -> tuple[str, ...]:
    """Return where the content of a web address is: pages of repositories show it as HTML.

    A name after ``tree`` or ``blob`` may be that of a branch or of a tag, so there may be two.
    """
    parts = urlsplit(uri)
    host = (parts.hostname or "").lower()
    path = parts.path.strip("/").split("/")
    if host in ("github.com", "www.github.com") and len(path) > 2:
        return _github(path[0], path[1], path[2:]) or (uri,)
    for marker in ("/-/tree/", "/-/blob/"):
        if marker in parts.path:
            return (urlunsplit(parts._replace(path=parts.path.replace(marker, "/-/raw/", 1))),)
    if host == "gitlab.com" and "/functions/" in parts.path and "/-/" not in parts.path:
        raw = parts.path.replace("/functions/", "/-/raw/HEAD/functions/", 1)
        return (urlunsplit(parts._replace(path=raw)),)
    return (uri,)


def _github(owner: str, repository: str, rest: list[str]) -> tuple[str, ...]:
    if rest[0] in ("releases", "archive", "raw"):
        return ()
    if rest[0] in ("tree", "blob") and len(rest) > 1:
        reference, path = _reference(rest[1:])
    elif "@" in rest[-1]:
        # A folder and a version, as functions are named: the definition is in the folder.
        folder, _, reference = rest[-1].rpartition("@")
        path = [*rest[:-1], folder, "function.yaml"]
    else:
        reference, path = "HEAD", rest
    plain = reference == "HEAD" or reference.startswith("refs/") or _COMMIT.fullmatch(reference)
    names = (reference,) if plain else (f"refs/heads/{reference}", f"refs/tags/{reference}")
    return tuple(
        f"https://{_RAW_GITHUB}/{owner}/{repository}/{name}/{'/'.join(path)}" for name in names
    )


def _reference(rest: list[str]) -> tuple[str, list[str]]:
    if rest[0] == "refs" and len(rest) > 2:
        return "/".join(rest[:3]), rest[3:]
    return rest[0], rest[1:]


def below(endpoint: str, path: str) -> str:
    """Return the address of a path below the endpoint of a catalog."""
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{path}", fragment=""))
