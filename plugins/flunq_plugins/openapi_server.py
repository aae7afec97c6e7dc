"""Where the operations of an OpenAPI document are served."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from flunq.sdk.executor import TaskError
from flunq.sdk.web.forms import plain_text

if TYPE_CHECKING:
    from flunq_plugins.openapi_document import Operation

_VARIABLE = re.compile(r"\{([^{}]*)\}")


def server_url(operation: Operation, values: dict[str, Any]) -> tuple[str, set[str]]:
    """Return the server's address, and which of the values its variables took."""
    if operation.is_swagger:
        return _swagger(operation), set()
    servers = operation.servers or operation.root.get("servers") or [{"url": "/"}]
    server = servers[0] if isinstance(servers, list) and isinstance(servers[0], dict) else {}
    variables = server.get("variables")
    filling = _Filling(variables if isinstance(variables, dict) else {}, values)
    url = _VARIABLE.sub(lambda found: filling.value(found.group(1)), str(server.get("url") or "/"))
    return _absolute(operation, url), filling.taken


class _Filling:
    """Fills in the variables of a server: a parameter of that name, or else the default."""

    def __init__(self, variables: dict[str, Any], values: dict[str, Any]) -> None:
        self._variables = variables
        self._values = values
        self.taken: set[str] = set()

    def value(self, name: str) -> str:
        variable = self._variables.get(name)
        variable = variable if isinstance(variable, dict) else {}
        if name in self._values:
            self.taken.add(name)
            value = plain_text(self._values[name])
            allowed = variable.get("enum")
            if isinstance(allowed, list) and value not in [plain_text(item) for item in allowed]:
                raise _unusable(f"{value!r} is not among the values of the server's {name}")
            if not re.fullmatch(r"[\w.~:-]+", value):
                raise _unusable(f"{value!r} cannot be the server's {name}")
            return value
        if "default" not in variable:
            raise _unusable(f"the server's {name} has no default: give it as a parameter")
        return plain_text(variable["default"])


def _swagger(operation: Operation) -> str:
    root = operation.root
    origin = urlsplit(operation.uri)
    schemes = operation.definition.get("schemes") or root.get("schemes") or []
    known = [scheme for scheme in ("https", "http") if scheme in schemes]
    if schemes and not known:
        raise _unusable("the operation is served neither by https nor by http")
    fallback = origin.scheme if origin.scheme in ("http", "https") else "https"
    host = root.get("host") or origin.netloc.rpartition("@")[2]
    if not host:
        raise _unusable("it names no host, and was not fetched from one")
    scheme = known[0] if known else fallback
    return f"{scheme}://{host}/{str(root.get('basePath') or '').strip('/')}".rstrip("/")


def _absolute(operation: Operation, url: str) -> str:
    if urlsplit(url).scheme not in ("http", "https"):
        if urlsplit(operation.uri).scheme not in ("http", "https"):
            raise _unusable(f"the server {url} is relative, and the document has no http address")
        url = urljoin(operation.uri, url)
    return url.rstrip("/")


def _unusable(problem: str) -> TaskError:
    return TaskError("validation", 400, "The OpenAPI document cannot be used", problem)
