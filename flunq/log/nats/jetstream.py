"""JetStream's API over a connection: calls, publishes with a checked outcome, header blocks."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from flunq.log.nats.names import partition_of_subject
from flunq.log.ports import (
    NoResponderError,
    NotPermittedError,
    OutcomeUnknownError,
    Record,
    RequestTimeoutError,
    SequenceConflictError,
    StoreFullError,
    StreamGoneError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from flunq.log.nats.connection import Connection

Result = TypeVar("Result")
WRONG_LAST_SEQUENCE = 10071
STREAM_NOT_FOUND = 10059
NO_MESSAGE_FOUND = 10037
CONSUMER_NOT_FOUND = 10014
NAME_IN_USE = 10058
_PLAIN_ID = re.compile(r"[!-~]{1,200}", re.ASCII)
_FULL = frozenset({10002, 10023, 10028, 10047, 10077})
PUBLISH_TIMEOUT = 2.5
"""A stream whose leader died answers nothing; what was sent to it is asked for again soon."""
UPLOAD_RATE = 1_000_000
"""Bytes a second that a slow network takes: a large message gets more time."""
CALL_TIMEOUT = 5.0
AGAIN_AFTER = 0.25
"""A stream without a leader keeps no question: one that is unanswered is asked again after this."""
READ_PATIENCE = 15.0
"""How long a read is tried again while the server cannot be asked."""
_UNANSWERED = (NoResponderError, RequestTimeoutError)


class ApiError(Exception):
    """JetStream refused a call."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.code = int(error.get("code", 0))
        self.err_code = int(error.get("err_code", 0))
        super().__init__(f"{error.get('description', 'refused')} ({self.err_code})")


class _Refusal(msgspec.Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _PubAck(msgspec.Struct, frozen=True):
    seq: int = 0
    error: _Refusal | None = None


class _Stored(msgspec.Struct, frozen=True):
    subject: str
    seq: int
    time: str
    data: bytes = b""
    """msgspec decodes the base64 that JetStream sends."""
    hdrs: str = ""


class _MessageAnswer(msgspec.Struct, frozen=True):
    message: _Stored | None = None
    error: dict[str, Any] | None = None


class Status(NamedTuple):
    """The first line of a header block that is no message."""

    code: int
    text: str


_ack_decoder = msgspec.json.Decoder(_PubAck)
_message_decoder = msgspec.json.Decoder(_MessageAnswer)


class JetStream:
    """What the adapters ask of JetStream."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def call(
        self,
        operation: str,
        payload: Mapping[str, Any] | None = None,
        *,
        within: float | None = None,
    ) -> dict[str, Any]:
        """Call the API once; raises ApiError, StreamGoneError or what a request raises."""
        body = msgspec.json.encode(payload) if payload else b""
        reply = await self.connection.request(
            f"$JS.API.{operation}", body, within=within or CALL_TIMEOUT
        )
        answer: dict[str, Any] = msgspec.json.decode(reply.data)
        if error := answer.get("error"):
            raise _refused(operation, error)
        return answer

    async def insist(
        self, operation: str, payload: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Call what may be repeated until it is answered, within reason."""
        return await _insist(operation, lambda: self.call(operation, payload))

    async def publish(self, subject: str, data: bytes, headers: bytes = b"") -> int:
        """Store one message; return its sequence.

        Raises SequenceConflictError and StoreFullError when surely nothing was stored, and
        OutcomeUnknownError whenever the answer leaves it open.
        """
        within = PUBLISH_TIMEOUT + len(data) / UPLOAD_RATE
        try:
            reply = await self.connection.request(subject, data, within=within, headers=headers)
            ack = _ack_decoder.decode(reply.data)
        except (*_UNANSWERED, NotPermittedError, msgspec.DecodeError) as error:
            raise OutcomeUnknownError(f"{subject}: {error or type(error).__name__}") from error
        refusal = ack.error
        if refusal is None:
            return ack.seq
        if refusal.err_code == WRONG_LAST_SEQUENCE:
            raise SequenceConflictError(f"{subject}: {refusal.description}")
        if refusal.err_code in _FULL:
            raise StoreFullError(f"{subject}: {refusal.description}")
        raise OutcomeUnknownError(f"{subject}: {refusal.description} ({refusal.err_code})")

    async def last(self, stream: str, subject: str) -> Record | None:
        """Return a subject's newest message, read from the stream's leader."""
        return await self._message(stream, {"last_by_subj": subject})

    async def next(self, stream: str, subject: str, *, after: int) -> Record | None:
        """Return the oldest message of a subject after a sequence, read from the leader."""
        return await self._message(stream, {"seq": after + 1, "next_by_subj": subject})

    async def _message(self, stream: str, wanted: Mapping[str, Any]) -> Record | None:
        operation = f"STREAM.MSG.GET.{stream}"
        body = msgspec.json.encode(wanted)

        async def ask() -> Record | None:
            reply = await self.connection.request(
                f"$JS.API.{operation}", body, within=CALL_TIMEOUT, again_after=AGAIN_AFTER
            )
            answer = _message_decoder.decode(reply.data)
            if answer.message is not None:
                return _from_stored(answer.message)
            if (answer.error or {}).get("err_code") == NO_MESSAGE_FOUND:
                return None
            raise _refused(operation, answer.error or {})

        return await _insist(operation, ask)

    async def page(self, stream: str, request: Mapping[str, Any]) -> list[Record]:
        """Return one page of messages, trying again while nobody answers."""
        return await _insist(f"DIRECT.GET.{stream}", lambda: self.direct(stream, request))

    async def direct(self, stream: str, request: Mapping[str, Any]) -> list[Record]:
        """Return one page of messages from whichever replica answers; may be behind the leader."""
        subject = f"$JS.API.DIRECT.GET.{stream}"
        records: list[Record] = []
        with self.connection.collect(subject, msgspec.json.encode(request)) as answers:
            while True:
                try:
                    items = await answers.take(within=CALL_TIMEOUT)
                except TimeoutError:
                    raise RequestTimeoutError(f"{subject}: no answer") from None
                for item in items:
                    if isinstance(item, Exception):
                        raise item
                    _, reply = item
                    if (status := parse_status(reply.headers)) is None:
                        records.append(_from_direct(reply.headers, reply.data))
                    elif status.code in (204, 404):
                        return records
                    else:
                        raise NoResponderError(f"{subject}: {status.code} {status.text}")


def _refused(operation: str, error: Mapping[str, Any]) -> Exception:
    if error.get("err_code") == STREAM_NOT_FOUND:
        return StreamGoneError(f"{operation}: {error.get('description')}")
    if error.get("err_code") == 10008:
        return NoResponderError(f"{operation}: {error.get('description')}")
    return ApiError(error)


async def _insist(what: str, ask: Callable[[], Awaitable[Result]]) -> Result:
    """Repeat a read with growing pauses; raise RequestTimeoutError when patience ends."""
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + READ_PATIENCE, 0.02
    while True:
        try:
            return await ask()
        except _UNANSWERED as error:
            if loop.time() > deadline:
                raise RequestTimeoutError(f"{what}: {error}") from error
        await asyncio.sleep(pause)
        pause = min(pause * 2, 0.5)


def header_block(headers: Mapping[str, str]) -> bytes:
    """Encode headers for the wire."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    if any("\n" in line[:-2] or "\r" in line[:-2] for line in lines):
        raise ValueError("a header may not contain line breaks")
    return f"NATS/1.0\r\n{''.join(lines)}\r\n".encode()


def identity_block(message_id: str) -> bytes:
    """Encode the header by which repeats are stored once; odd ids are hashed."""
    if not _PLAIN_ID.fullmatch(message_id):
        message_id = blake2b(
            message_id.encode("utf-8", "surrogatepass"), digest_size=32
        ).hexdigest()
    return f"NATS/1.0\r\nNats-Msg-Id: {message_id}\r\n\r\n".encode()


def parse_headers(block: bytes) -> dict[str, str]:
    """Decode a header block."""
    found: dict[str, str] = {}
    for line in block.decode(errors="replace").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            found[name] = value.strip()
    return found


def own_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Leave out what the broker's protocol put there."""
    return {name: value for name, value in headers.items() if not name.startswith("Nats-")}


def parse_status(block: bytes) -> Status | None:
    """Return the status of a header block that carries one."""
    if not block.startswith(b"NATS/1.0 "):
        return None
    line = block[9 : block.find(b"\r\n")].decode(errors="replace")
    code, _, text = line.partition(" ")
    return Status(int(code) if code.isdigit() else 0, text)


def seconds_of(text: str) -> float:
    """Read a timestamp of JetStream, which has up to nine decimals."""
    moment = msgspec.convert(text, datetime)
    return float(moment.timestamp())


def _from_stored(message: _Stored) -> Record:
    headers = parse_headers(b64decode(message.hdrs)) if message.hdrs else {}
    return Record(
        seq=message.seq,
        data=message.data,
        partition=partition_of_subject(message.subject),
        headers=own_headers(headers),
        subject=message.subject,
        time=seconds_of(message.time),
    )


def _from_direct(block: bytes, data: bytes) -> Record:
    headers = parse_headers(block)
    return Record(
        seq=int(headers["Nats-Sequence"]),
        data=data,
        partition=partition_of_subject(headers["Nats-Subject"]),
        headers=own_headers(headers),
        subject=headers["Nats-Subject"],
        time=seconds_of(headers["Nats-Time-Stamp"]),
    )
