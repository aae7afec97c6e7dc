"""A client of the Docker Engine API: one connection for each request, over a Unix socket or TCP.

Docker, Podman and their relatives answer on it. Paths carry no version: that is the newest one
that the engine speaks, and what is used here has been the same in all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import h11
import msgspec

from flunq.sdk.executor import TaskError
from flunq_plugins.docker_chunks import Chunks, StreamError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

CONNECT_TIMEOUT = 10.0
_CHUNK = 64 * 1024
_CUT_OFF = "the engine closed the connection in the middle of an answer"
_MAX_ANSWER = 8 * 1024 * 1024
_MAX_LINE = 1024 * 1024
_SOCKETS = (
    "/var/run/docker.sock",
    "{runtime}/docker.sock",
    "{home}/.docker/run/docker.sock",
    "{runtime}/podman/podman.sock",
    "/run/podman/podman.sock",
)
"""Where engines listen: Docker, rootless Docker, Docker Desktop, rootless Podman, Podman."""


class DockerError(Exception):
    """The engine refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where an engine listens: a socket's path, or a host and a port."""

    path: str = ""
    host: str = ""
    port: int = 0
    certificates: str = ""
    """The folder of the certificates for TLS."""

    @property
    def shown(self) -> str:
        """Return it for messages."""
        return self.path or f"{self.host}:{self.port}"


def find_endpoint(environment: Mapping[str, str]) -> Endpoint:
    """Return where the engine is, or raise TaskError with what to do about it."""
    named = environment.get("DOCKER_HOST") or environment.get("CONTAINER_HOST")
    if named:
        return _named_endpoint(named, environment)
    home = environment.get("HOME") or str(Path.home())
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    paths = [path.format(home=home, runtime=runtime) for path in _SOCKETS]
    for path in paths:
        if Path(path).is_socket():
            return Endpoint(path=path)
    raise _no_engine(f"no socket of a container engine at {', '.join(paths)}")


def _named_endpoint(named: str, environment: Mapping[str, str]) -> Endpoint:
    parts = urlsplit(named)
    if parts.scheme == "unix" and parts.path:
        return Endpoint(path=parts.path)
    if parts.scheme in ("tcp", "http", "https") and parts.hostname:
        secure = parts.scheme == "https" or bool(environment.get("DOCKER_TLS_VERIFY"))
        folder = environment.get("DOCKER_CERT_PATH") or str(Path.home() / ".docker")
        port = parts.port or (2376 if secure else 2375)
        return Endpoint(host=parts.hostname, port=port, certificates=folder if secure else "")
    raise _no_engine(f"DOCKER_HOST={named} is neither unix:///PATH nor tcp://HOST:PORT")


def _no_engine(reason: str) -> TaskError:
    return TaskError(
        "configuration",
        400,
        "There is no container engine",
        f"{reason}; start Docker or Podman (`systemctl --user start podman.socket`), "
        "or set DOCKER_HOST for the node",
    )


class Answer:
    """The answer to one request, its body not yet read."""

    def __init__(self, status: int, receive: AsyncIterator[bytes]) -> None:
        self.status = status
        self._receive = receive

    def chunks(self) -> AsyncIterator[bytes]:
        """Return the body as it comes."""
        return self._receive

    async def json(self) -> Any:
        """Return the body as a value; None if there is none."""
        body = bytearray()
        async for chunk in self._receive:
            body += chunk
            if len(body) > _MAX_ANSWER:
                raise DockerError(502, "the engine's answer is too large")
        return msgspec.json.decode(body) if body.strip() else None

    async def lines(self) -> AsyncIterator[Any]:
        """Yield the values of a body of one JSON text a line."""
        rest = bytearray()
        async for chunk in self._receive:
            *lines, last = (rest + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    yield msgspec.json.decode(line)
            rest = last
            if len(rest) > _MAX_LINE:
                raise DockerError(502, "a line of the engine's answer is too long")
        if rest.strip():
            yield msgspec.json.decode(rest)


class _Connection:
    """One connection and the request on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._http = h11.Connection(h11.CLIENT)
        self._chunked = False

    async def ask(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> int:
        """Send a request; return the status of the answer."""
        fields = {"Host": "docker", "User-Agent": "flunq", "Content-Length": str(len(body))}
        request = h11.Request(
            method=method, target=target, headers=list((fields | headers).items())
        )
        self._send(request)
        if body:
            self._send(h11.Data(data=body))
        self._send(h11.EndOfMessage())
        await self.writer.drain()
        event = await self._event()
        while isinstance(event, h11.InformationalResponse) and event.status_code != 101:
            event = await self._event()
        if isinstance(event, (h11.Response, h11.InformationalResponse)):
            coding = dict(event.headers).get(b"transfer-encoding", b"")
            self._chunked = coding.lower() == b"chunked"
            return event.status_code
        raise ConnectionError("the engine closed the connection without an answer")

    def _send(self, event: h11.Event) -> None:
        self.writer.write(self._http.send(event) or b"")

    async def _event(self) -> Any:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._http.receive_data(await self._reader.read(_CHUNK))

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the answer's body."""
        if self._chunked:
            async for piece in self._pieces():
                yield piece
            return
        while True:
            event = await self._event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise ConnectionError(_CUT_OFF)

    async def _pieces(self) -> AsyncIterator[bytes]:
        chunks = Chunks()
        received, _ = self._http.trailing_data
        while True:
            piece = chunks.feed(received)
            if piece:
                yield piece
            if chunks.ended:
                return
            received = await self._reader.read(_CHUNK)
            if not received:
                raise ConnectionError(_CUT_OFF)

    async def close(self) -> None:
        """Close it; what was not sent will not be, so nobody waits until it can be."""
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class DockerApi:
    """The requests that running a container takes."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._log_driver: str | None = None
        self._tls = _tls(endpoint.certificates) if endpoint.certificates else None

    @contextlib.asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Answer]:
        """Send a request and give its answer; a refusal is raised as DockerError."""
        content = b"" if body is None else msgspec.json.encode(body)
        fields = {"Content-Type": "application/json"} if content else {}
        async with self._exchange() as connection:
            status = await connection.ask(
                method, _target(path, query), content, fields | dict(headers or {})
            )
            answer = Answer(status, connection.body())
            if status >= 400:
                raise DockerError(status, await _message(answer))
            yield answer

    async def call(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> Any:
        """Send a request and return the answer's value."""
        async with self.request(method, path, query, body) as answer:
            return await answer.json()

    async def log_driver(self) -> str:
        """Return the name of what keeps the output of containers; it is asked for once."""
        if self._log_driver is None:
            self._log_driver = str((await self.call("GET", "/info")).get("LoggingDriver") or "")
        return self._log_driver

    @contextlib.asynccontextmanager
    async def attach(self, container: str) -> AsyncIterator[asyncio.StreamWriter]:
        """Give the standard input of a container, to be written."""
        path = f"/containers/{container}/attach"
        upgrade = {"Connection": "Upgrade", "Upgrade": "tcp"}
        async with self._exchange() as connection:
            target = _target(path, {"stream": 1, "stdin": 1})
            status = await connection.ask("POST", target, b"", upgrade)
            if status >= 400:
                raise DockerError(status, await _message(Answer(status, connection.body())))
            yield connection.writer

    @contextlib.asynccontextmanager
    async def _exchange(self) -> AsyncIterator[_Connection]:
        """Connect; whatever goes wrong on the way is a ``communication`` error."""
        shown = self._endpoint.shown
        try:
            connection = _Connection(*await self._connect())
            try:
                yield connection
            finally:
                await connection.close()
        except TimeoutError:
            detail = f"{shown}: no connection within {CONNECT_TIMEOUT:g} s"
            raise _broken(detail) from None
        except (FileNotFoundError, PermissionError) as error:
            raise _no_engine(f"{shown}: {error.strerror}") from error
        except OSError as error:
            raise _broken(f"{shown}: {error.strerror or error}") from error
        except (h11.RemoteProtocolError, msgspec.DecodeError, StreamError) as error:
            raise _broken(f"{shown}: {error}") from error

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        endpoint = self._endpoint
        async with asyncio.timeout(CONNECT_TIMEOUT):
            if endpoint.path:
                return await asyncio.open_unix_connection(endpoint.path)
            return await asyncio.open_connection(endpoint.host, endpoint.port, ssl=self._tls)


def _broken(detail: str) -> TaskError:
    return TaskError("communication", 502, "The container engine does not answer", detail)


async def _message(answer: Answer) -> str:
    """Return the engine's words about a refusal."""
    try:
        said = await answer.json()
    except (msgspec.DecodeError, DockerError):
        said = None
    if isinstance(said, dict) and said.get("message"):
        return str(said["message"])
    return f"the engine answered {answer.status}"


def _target(path: str, query: Mapping[str, Any] | None) -> str:
    quoted = quote(path, safe="/:@")
    if not query:
        return quoted
    plain = {
        name: value if isinstance(value, (str, int)) else msgspec.json.encode(value).decode()
        for name, value in query.items()
    }
    return f"{quoted}?{urlencode(plain)}"


def _tls(folder: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(Path(folder) / "ca.pem"))
        context.load_cert_chain(Path(folder) / "cert.pem", Path(folder) / "key.pem")
    except OSError as error:
        detail = f"the certificates in {folder} cannot be read: {error.strerror or error}"
        raise TaskError("configuration", 400, "No TLS for the container engine", detail) from error
    return context
