"""What a query's child process is told, and what it says: one JSON document a line."""

from __future__ import annotations

from typing import Any

import msgspec

from flunq.core.alerts import Notice
from flunq.core.capacity import Capacity
from flunq.core.ids import token
from flunq.errors import FlunqError, RejectedError, WaitTimeoutError

MEMORY = 1 << 30
TIMEOUT = 60.0


class KnownDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A registered version, as the cluster knows it; moments in microseconds."""

    namespace: str
    name: str
    version: str
    digest: str
    title: str = ""
    latest: bool = False
    created_at: int = 0


class KnownSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule in force, as the cluster knows it; moments in microseconds."""

    namespace: str
    name: str
    version: str
    status: str
    schedule: dict[str, Any]
    timezone: str = ""
    overlap: str = ""
    next_at: int | None = None
    paused_at: int | None = None
    reason: str = ""
    pending: int = 0


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """An execution whose rows were removed for good, up to a journal sequence."""

    execution: str
    upto: int


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer lacks: neither the journal nor the archive has these sequences."""

    first: int
    last: int

    def __str__(self) -> str:
        return (
            f"the answer is not complete: the journal begins at {self.last + 1} and the archive "
            f"lacks what it had from {self.first} to {self.last}"
        )


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where the rows of a query are: files of the lake, and what came after them."""

    tenant: str
    files: list[str] = []
    """Absolute paths of Parquet files."""
    through: int = 0
    """Rows of the tail up to this journal sequence are in the files."""
    tail: str | None = None
    """Path of the rows that were read from the journal, as newline-delimited JSON."""
    gone: list[Gone] = []
    gap: Gap | None = None
    connected: bool = False
    definitions: list[KnownDefinition] = []
    schedules: list[KnownSchedule] = []
    alerts: list[Notice] = []
    capacity: Capacity = Capacity()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a query may use."""

    memory: int = MEMORY
    seconds: float = TIMEOUT
    threads: int = 2


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A query."""

    sql: str
    parameters: dict[str, Any] = {}
    max_rows: int = 0
    """Return no more rows than this; 0 returns all."""
    as_of_seq: int | None = None
    """Only events up to this journal sequence."""
    as_of_time: int | None = None
    """Only events up to this moment, microseconds since the epoch."""
    parquet: bool = False
    """Answer with a Parquet file instead of rows."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What the child is told, once."""

    sources: Sources
    question: Question
    limits: Limits = Limits()
    parquet_path: str | None = None


class Header(msgspec.Struct, frozen=True, kw_only=True, tag="header"):
    """The names and types of the columns."""

    names: list[str]
    kinds: list[str]


class Chunk(msgspec.Struct, frozen=True, kw_only=True, tag="rows"):
    """Some rows."""

    rows: list[list[Any]]


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """The end of an answer."""

    rows: int
    more: bool = False
    """There were more rows than were asked for."""
    seconds: float = 0.0
    gap: Gap | None = None
    """What is missing, where the rows are not all that there should be."""


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """Why there is no answer, or not all of it."""

    message: str
    hint: str | None = None
    kind: str = "rejected"
    """``rejected``: the query is at fault; ``limit``: it wanted too much; ``timeout``: it took too
    long."""

    def error(self) -> FlunqError:
        """Return what whoever asked is told."""
        kind = WaitTimeoutError if self.kind == "timeout" else RejectedError
        return kind(self.message, hint=self.hint)


Reply = Header | Chunk | Done | Refused
decode_reply = msgspec.json.Decoder(Reply).decode
decode_job = msgspec.json.Decoder(Job).decode
encode = msgspec.json.Encoder().encode


class OpenQuery(msgspec.Struct, frozen=True, kw_only=True, tag="query"):
    """Ask the cluster to run a query; the answer is its first page."""

    question: Question
    limits: Limits = Limits()
    id: str = ""
    """Whoever chooses it can close the query before it has answered."""


class NextRows(msgspec.Struct, frozen=True, kw_only=True, tag="next"):
    """Ask for the next page of an answer."""

    id: str
    number: int
    """Of the page: one that was sent and lost is sent again."""


class CloseQuery(msgspec.Struct, frozen=True, kw_only=True, tag="close"):
    """End a query whose answer nobody wants any more."""

    id: str


QueryRequest = OpenQuery | NextRows | CloseQuery


class QueryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Part of an answer; the last part ends with :class:`Done` or :class:`Refused`."""

    id: str
    replies: list[Reply] = []


def sql_subject(tenant: str) -> str:
    """Return where a cluster answers queries."""
    return f"flunq.ask.{token(tenant)}.sql"
