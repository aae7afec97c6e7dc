"""What clients, owners and executors say to each other: subjects and message shapes.

Everything is JSON. A request names its kind in ``type`` (the tag of the struct); a reply is one
struct, or a list in the order of the request's commands.
"""

from __future__ import annotations

from typing import Any

import msgspec

from flunq.core.execution.commands import Command, Failure, Report
from flunq.core.ids import token

MAX_MESSAGE = 900 * 1024
"""Requests and replies stay below a server's smallest usual ``max_payload``."""


def start_subject(tenant: str, partition: int) -> str:
    """Return where an owner takes starts and control commands."""
    return f"flunq.start.{token(tenant)}.{partition}"


def ask_subject(tenant: str, partition: int) -> str:
    """Return where an owner answers questions about its executions."""
    return f"flunq.ask.{token(tenant)}.{partition}"


def report_subject(tenant: str, partition: int) -> str:
    """Return where an owner takes the outcomes of tasks."""
    return f"flunq.report.{token(tenant)}.{partition}"


def catalog_subject(tenant: str) -> str:
    """Return where definitions are registered and looked up, and blobs are moved."""
    return f"flunq.ask.{token(tenant)}.catalog"


def feed_subject(tenant: str, partition: int | str = "*") -> str:
    """Return where the broker repeats each commit, at most once, for whoever listens."""
    return f"flunq.feed.{token(tenant)}.{partition}"


def node_subject(node: str, what: str) -> str:
    """Return where one node answers other nodes."""
    return f"flunq.node.{token(node)}.{what}"


def changed_subject(tenant: str) -> str:
    """Return where nodes hear that the catalog changed."""
    return f"flunq.node.catalog.{token(tenant)}"


def withdraw_subject(tenant: str) -> str:
    """Return where executors hear that a task no longer matters."""
    return f"flunq.node.withdraw.{token(tenant)}"


class Commands(msgspec.Struct, frozen=True, kw_only=True):
    """A request to an owner: apply these, answer when all are durable."""

    commands: list[Command]
    mailbox: str | None = None
    """Where to push the results of executions that these commands start."""


class Reports(msgspec.Struct, frozen=True, kw_only=True):
    """A request to an owner: outcomes of tasks."""

    reports: list[Report]


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to one command: an HTTP-like code, and the execution's status or the problem."""

    code: int
    id: str = ""
    status: str = ""
    problem: dict[str, Any] | None = None


class Get(msgspec.Struct, frozen=True, kw_only=True, tag="get"):
    """Ask for one execution."""

    id: str


class Watch(msgspec.Struct, frozen=True, kw_only=True, tag="watch"):
    """Ask for the results of executions: those that ended come at once, others are pushed."""

    ids: list[str]
    mailbox: str


class ListPage(msgspec.Struct, frozen=True, kw_only=True, tag="list"):
    """Ask for a page of summaries, newest first, older than ``before`` (started_at, id)."""

    limit: int
    before: tuple[int, str] | None = None
    status: tuple[str, ...] | None = None
    workflow: str | None = None
    """``name`` or ``namespace/name`` or ``namespace/name:version``."""
    prefix: str = ""


class History(msgspec.Struct, frozen=True, kw_only=True, tag="history"):
    """Ask for a page of an execution's events from a journal position on."""

    id: str
    cursor: int = 0
    """Journal sequence of the last commit the asker has seen."""


class Commits(msgspec.Struct, frozen=True, kw_only=True, tag="commits"):
    """Ask for raw commits after a number, to fill a gap in the feed."""

    after: int
    upto: int


class Mark(msgspec.Struct, frozen=True, kw_only=True, tag="mark"):
    """Ask an owner for an empty commit and a checkpoint, so that the journal can be trimmed."""


Question = Get | Mark | Watch | ListPage | History | Commits


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of raw JSON values."""

    items: list[msgspec.Raw]
    cursor: int = 0
    more: bool = False


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """An execution in a list."""

    id: str
    namespace: str
    workflow: str
    version: str
    status: str
    started_at: int
    ended_at: int | None = None
    tags: dict[str, str] = {}
    parent: str | None = None


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one execution but its history."""

    id: str
    namespace: str
    workflow: str
    version: str
    digest: str
    status: str
    started_at: int
    ended_at: int | None = None
    tags: dict[str, str] = {}
    parent: str | None = None
    partition: int = 0
    seq: int = 0
    input: Any = None
    output: Any = None
    context: Any = None
    failure: Failure | None = None
    waiting: list[dict[str, Any]] = []
    """Open tasks, timers and listeners: what the execution waits for."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How an execution ended."""

    id: str
    status: str
    output: Any = None
    failure: Failure | None = None


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """What a mailbox receives, and the answer to :class:`Watch`."""

    results: list[Result]
    missing: list[str] = []


class Apply(msgspec.Struct, frozen=True, kw_only=True, tag="apply"):
    """Register a definition; registering the same document again changes nothing."""

    text: str
    """YAML or JSON, as it was written."""
    dry_run: bool = False


class Resolve(msgspec.Struct, frozen=True, kw_only=True, tag="resolve"):
    """Look up a definition: ``name``, ``namespace/name``, with or without ``:version``."""

    name: str


class Workflows(msgspec.Struct, frozen=True, kw_only=True, tag="workflows"):
    """List the registered definitions."""

    prefix: str = ""


class DeleteWorkflow(msgspec.Struct, frozen=True, kw_only=True, tag="delete-workflow"):
    """Unregister a version; running executions keep it."""

    name: str


class PutBlob(msgspec.Struct, frozen=True, kw_only=True, tag="put-blob"):
    """Store one piece of a large value (base64); the last piece completes it."""

    key: str
    piece: bytes
    number: int
    last: bool


class GetBlob(msgspec.Struct, frozen=True, kw_only=True, tag="get-blob"):
    """Read a piece of a large value."""

    key: str
    offset: int


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of a large value."""

    data: bytes
    size: int


class Emit(msgspec.Struct, frozen=True, kw_only=True, tag="emit"):
    """Publish CloudEvents on the tenant's bus."""

    events: tuple[dict[str, Any], ...]


class Info(msgspec.Struct, frozen=True, kw_only=True, tag="info"):
    """Ask what a client must know of the cluster."""


class ClusterInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a client must know of the cluster."""

    tenant: str
    partitions: int
    node: str
    version: str


CatalogQuestion = Info | Apply | Resolve | Workflows | DeleteWorkflow | PutBlob | GetBlob | Emit


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A registered definition without its text."""

    namespace: str
    name: str
    version: str
    digest: str
    created_at: int
    title: str = ""
    latest: bool = False


class DefinitionText(msgspec.Struct, frozen=True, kw_only=True):
    """A registered definition as it was written."""

    definition: Definition
    text: str
    document: dict[str, Any]
    """The document as a plain value."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to a question: a value, or a problem."""

    value: msgspec.Raw = msgspec.Raw(b"null")
    problem: dict[str, Any] | None = None
