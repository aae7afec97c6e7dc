"""What a route is, what its endpoint is given, and what it answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from flunq.core.ids import is_valid_id
from flunq.errors import NotFoundError

if TYPE_CHECKING:
    from flunq.api.limits import Receive
    from flunq.api.services import ApiServices
    from flunq.client import Client
    from flunq.services.identity import Principal

JSON = "application/json"
PROBLEM = "application/problem+json"
EVENT_STREAM = "text/event-stream"

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Role: TypeAlias = Literal["viewer", "operator", "admin"]
RANKS: Mapping[str, int] = {"viewer": 0, "operator": 1, "admin": 2}
_encode = msgspec.json.Encoder().encode


class Reply(msgspec.Struct, kw_only=True):
    """A whole answer."""

    body: bytes = b""
    status: int = 200
    media: str = JSON
    headers: dict[str, str] = {}


class Streamed(msgspec.Struct, kw_only=True):
    """An answer that is made while it is sent."""

    chunks: AsyncGenerator[bytes, None]
    media: str
    headers: dict[str, str] = {}


Answer: TypeAlias = Reply | Streamed


class Call:
    """One request, checked against its route."""

    __slots__ = (
        "body",
        "client",
        "headers",
        "media",
        "parameters",
        "principal",
        "query",
        "receive",
        "remote",
        "services",
        "target",
        "tenant",
    )

    def __init__(
        self, services: ApiServices, headers: dict[str, str], remote: str, receive: Receive
    ) -> None:
        self.services = services
        self.receive = receive
        """Tells, after the body, when the caller hangs up."""
        self.headers = headers
        """By lower-case name."""
        self.remote = remote
        self.parameters: dict[str, str] = {}
        """What the path says."""
        self.query: Any = None
        """A struct of the route's ``query`` type."""
        self.body: Any = None
        """A value of the route's ``body`` type; bytes where it takes other media than JSON."""
        self.media = JSON
        """The one of the route's media types that the caller prefers."""
        self.tenant: str | None = None
        """As which tenant the caller acts, once that is settled."""
        self.target = ""
        """What the audit says it was about, where the path does not say."""
        self.principal: Principal
        self.client: Client

    @property
    def id(self) -> str:
        """Return the id in the path; raises NotFoundError for what cannot be one."""
        found = self.parameters["id"]
        if not is_valid_id(found):
            raise NotFoundError("nothing can have this id")
        return found


Endpoint: TypeAlias = Callable[[Call], Awaitable[Answer]]


class ApiRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of the API."""

    method: Method
    path: str
    endpoint: Endpoint
    summary: str
    name: str = ""
    """The operation's id in the OpenAPI document."""
    tag: str = "operations"
    role: Role | None = "viewer"
    """The least role that may call it; None: it answers without a token."""
    cluster: bool = False
    """Only for those of the home tenant: it is about the cluster as a whole."""
    query: type[msgspec.Struct] | None = None
    body: Any = None
    """The type of the body; None: it takes none."""
    accepts: tuple[str, ...] = (JSON,)
    """Media types of the body. With others than JSON the endpoint gets bytes."""
    optional_body: bool = False
    answer: Any = None
    """The type of the answer; None: it has no JSON body."""
    media: tuple[str, ...] = (JSON,)
    """Media types of the answer, the default first."""
    status: int = 200
    also: tuple[int, ...] = ()
    """Other codes of success."""
    fails: tuple[int, ...] = ()
    """Codes of failure beside those that every route of its kind has."""
    description: str = ""
    example: Any = None
    audited: bool = True
    """Whether a call that may change something is written to the audit."""

    @property
    def writes(self) -> bool:
        """Tell whether it may change something."""
        return self.method != "GET"


def json_reply(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """Return any msgspec-encodable value as JSON."""
    return Reply(body=_encode(value), status=status, headers=headers or {})


def no_content() -> Reply:
    """Return the answer that says nothing."""
    return Reply(status=204, media="")
