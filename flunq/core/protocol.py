"""What clients, owners and executors say to each other: subjects and message shapes.

Everything is JSON. A request names its kind in ``type`` (the tag of the struct); a reply is one
struct, or a list in the order of the request's commands.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from flunq.core.document.bundle import Bundled
from flunq.core.execution.commands import (
    Cancel,
    Command,
    Failure,
    Report,
    Restore,
    Start,
)
from flunq.core.ids import MAILBOX_PATTERN, token
from flunq.core.scheduling.policies import Overrides
from flunq.core.scheduling.state import Counts, Note, Problem

MAX_MESSAGE = 900 * 1024
"""Requests and replies stay below a server's smallest usual ``max_payload``."""
Mailbox = Annotated[str, msgspec.Meta(pattern=MAILBOX_PATTERN)]
"""Where a client hears of results; nothing else may be named, because owners may publish all."""


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


def schedules_subject(tenant: str) -> str:
    """Return where the keeper of the schedules answers."""
    return f"flunq.ask.{token(tenant)}.schedules"


def replay_subject(tenant: str) -> str:
    """Return where histories are gone back to: retry, rewind, fork."""
    return f"flunq.ask.{token(tenant)}.replay"


def history_subject(tenant: str) -> str:
    """Return where the historian answers about the archive."""
    return f"flunq.ask.{token(tenant)}.history"


def inputs_subject(tenant: str) -> str:
    """Return where a control process stores inputs for users who may write to no stream."""
    return f"flunq.ask.{token(tenant)}.inputs"


def feed_subject(tenant: str, partition: int | str = "*") -> str:
    """Return where the broker repeats each commit, at most once, for whoever listens."""
    return f"flunq.feed.{token(tenant)}.{partition}"


def owner_subject(tenant: str, partition: int | str = "*") -> str:
    """Return where clients hear that a partition has an owner again, maybe another one."""
    return f"flunq.feed.{token(tenant)}.{partition}.owner"


def node_subject(node: str, what: str) -> str:
    """Return where one node answers other nodes."""
    return f"flunq.node.{token(node)}.{what}"


def changed_subject(tenant: str) -> str:
    """Return where nodes hear that the catalog changed."""
    return f"flunq.node.catalog.{token(tenant)}"


def schedule_changed_subject(tenant: str) -> str:
    """Return where keepers hear which schedule changed."""
    return f"flunq.node.schedules.{token(tenant)}"


def secrets_subject(tenant: str) -> str:
    """Return where nodes hear that a secret changed."""
    return f"flunq.node.secrets.{token(tenant)}"


def withdraw_subject(tenant: str) -> str:
    """Return where executors hear that a task no longer matters."""
    return f"flunq.node.withdraw.{token(tenant)}"


class Commands(msgspec.Struct, frozen=True, kw_only=True):
    """A request to an owner: apply these, answer when all are durable."""

    commands: list[Command]
    mailbox: Mailbox | None = None
    """Where to push the results of executions that these commands start."""


EngineCommand = Report | Start | Cancel | Restore
"""What one part of the engine tells the owner of an execution."""


class Reports(msgspec.Struct, frozen=True, kw_only=True):
    """A request to an owner: outcomes of tasks, starts and ends of children."""

    reports: list[EngineCommand]


class NewOwner(msgspec.Struct, frozen=True, kw_only=True):
    """A notice: the last owner of a partition is none now; what it owed is to be asked again."""

    partition: int
    epoch: int


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to one command: an HTTP-like code, and the execution's status or the problem."""

    code: int
    id: str = ""
    status: str = ""
    problem: dict[str, Any] | None = None
    partition: int | None = None
    """With :data:`ELSEWHERE`: where to send the command."""


ELSEWHERE = 307
"""The code of a reply to a start whose group is kept in another partition."""


class Get(msgspec.Struct, frozen=True, kw_only=True, tag="get"):
    """Ask for one execution."""

    id: str


class StoreInput(msgspec.Struct, frozen=True, kw_only=True, tag="store-input"):
    """Keep commands for an owner that does not answer; the same message id is kept once."""

    partition: Annotated[int, msgspec.Meta(ge=0)]
    message_id: str
    commands: msgspec.Raw


class Watch(msgspec.Struct, frozen=True, kw_only=True, tag="watch"):
    """Ask for the results of executions: those that ended come at once, others are pushed."""

    ids: list[str]
    mailbox: Mailbox


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
    sure: bool = False
    """Let the owner make sure first that nobody has replaced it."""
    extent: bool = False
    """Say also where the journal begins."""


class Mark(msgspec.Struct, frozen=True, kw_only=True, tag="mark"):
    """Ask an owner for an empty commit and a checkpoint, so that the journal can be trimmed."""

    without: tuple[str, ...] = ()
    """Rewrite every pack that holds something of these executions, which were deleted."""
    padding: int = 0
    """Bytes that the commit has for nothing: files of the broker go when they are full."""


MOST_PADDING = 512 * 1024


class Heed(msgspec.Struct, frozen=True, kw_only=True, tag="heed"):
    """Ask an owner to act on which workflows are paused by now; answered once it does."""

    revision: int
    """Of the record of the pauses: what it knows must be at least as new."""


class ListGroups(msgspec.Struct, frozen=True, kw_only=True, tag="list-groups"):
    """Ask which groups of starts are open: what is collected, and until when."""


Question = Get | Mark | Watch | ListPage | History | Commits | Heed | ListGroups


class GroupView(msgspec.Struct, frozen=True, kw_only=True):
    """Starts of a workflow that become one execution, which has not begun yet."""

    execution: str
    workflow: str
    """``namespace/name:version``"""
    kind: str
    """``debounce`` or ``batch``."""
    key: Any = None
    starts: int
    size: int = 0
    """With so many a batch is complete."""
    since: int
    due: int | None = None
    """When it begins if no more starts come."""
    status: str


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of raw JSON values."""

    items: list[msgspec.Raw]
    cursor: int = 0
    more: bool = False
    seqs: list[int] = []
    """Of raw commits: the journal sequence of each."""
    first: int = 0
    """The journal's first sequence, if that was asked for: what came before was trimmed."""


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
    reason: str = ""
    """Why it is suspended, if it is and somebody said so."""


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
    schedule: bool = True
    """Put its ``schedule`` into force; without it only one that is in force already follows."""
    resources: dict[str, Bundled] = {}
    """What the document refers to, by address; the contents were sent as blobs before."""


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


class PutSecret(msgspec.Struct, frozen=True, kw_only=True, tag="put-secret"):
    """Keep a secret."""

    name: str
    value: Any

    def __repr__(self) -> str:
        return f"PutSecret({self.name!r})"


class ListSecrets(msgspec.Struct, frozen=True, kw_only=True, tag="secrets"):
    """List the names of the secrets."""


class DeleteSecret(msgspec.Struct, frozen=True, kw_only=True, tag="delete-secret"):
    """Forget a secret."""

    name: str


SecretQuestion = PutSecret | ListSecrets | DeleteSecret


class Info(msgspec.Struct, frozen=True, kw_only=True, tag="info"):
    """Ask what a client must know of the cluster."""


class ClusterInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a client must know of the cluster."""

    tenant: str
    partitions: int
    node: str
    version: str


class AskCapacity(msgspec.Struct, frozen=True, kw_only=True, tag="capacity"):
    """Ask how full the tenant's streams are, and how far their consumers have come."""


class Erase(msgspec.Struct, frozen=True, kw_only=True, tag="erase"):
    """Ask for nothing to be left on disk of what was removed; asked again until it is done.

    The journal is trimmed up to a sequence, the blobs are overwritten, and what the broker's
    files hold of values that were replaced or deleted goes.
    """

    upto: int
    blobs: tuple[str, ...] = ()


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """How far that is; ``state``: running, done or failed."""

    state: str
    detail: str = ""


CatalogQuestion = (
    Info
    | AskCapacity
    | Apply
    | Resolve
    | Workflows
    | DeleteWorkflow
    | PutBlob
    | GetBlob
    | Emit
    | Erase
    | SecretQuestion
)


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A registered definition without its text."""

    namespace: str
    name: str
    version: str
    digest: str
    created_at: int
    title: str = ""
    latest: bool = False
    paused: Literal["", "starts", "all"] = ""
    """What of it is paused: nothing, starts alone, or open executions too."""
    pause_reason: str = ""


class DefinitionText(msgspec.Struct, frozen=True, kw_only=True):
    """A registered definition as it was written."""

    definition: Definition
    text: str
    document: dict[str, Any]
    """The document as a plain value."""
    resources: dict[str, str] = {}
    """SHA-256 of what was registered with it, by address."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to a question: a value, or a problem."""

    value: msgspec.Raw = msgspec.Raw(b"null")
    problem: dict[str, Any] | None = None


class ListSchedules(msgspec.Struct, frozen=True, kw_only=True, tag="schedules"):
    """List the schedules in force."""

    prefix: str = ""
    count: int = 1
    """So many of the next fires and of the last runs of each."""


class ShowSchedule(msgspec.Struct, frozen=True, kw_only=True, tag="show"):
    """Show one schedule with its last runs and its next fires."""

    name: str
    count: int = 5


class PauseSchedule(msgspec.Struct, frozen=True, kw_only=True, tag="pause"):
    """Let a schedule start nothing."""

    name: str
    reason: str = ""


class ResumeSchedule(msgspec.Struct, frozen=True, kw_only=True, tag="resume"):
    """Let a paused schedule go on."""

    name: str


class SkipSchedule(msgspec.Struct, frozen=True, kw_only=True, tag="skip"):
    """Pass over the next fires, or over those up to a moment; replaces what was asked before."""

    name: str
    count: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
    until: int | None = None
    """Microseconds; then ``count`` does not matter."""


class UnskipSchedule(msgspec.Struct, frozen=True, kw_only=True, tag="unskip"):
    """Skip nothing more."""

    name: str


class UpdateSchedule(msgspec.Struct, frozen=True, kw_only=True, tag="update"):
    """Set policies of a schedule, over those of its document."""

    name: str
    overrides: Overrides
    reset: bool = False
    """Forget what was set before."""


class TriggerSchedule(msgspec.Struct, frozen=True, kw_only=True, tag="trigger"):
    """Start the workflow of a schedule now; idempotent by ``id``."""

    name: str
    id: str
    input: Any = msgspec.UNSET


class BackfillSchedule(msgspec.Struct, frozen=True, kw_only=True, tag="backfill"):
    """Start the fires of a time that has passed, page by page: those after ``after``."""

    name: str
    after: int
    upto: int
    dry_run: bool = False


ScheduleQuestion = (
    ListSchedules
    | ShowSchedule
    | PauseSchedule
    | ResumeSchedule
    | SkipSchedule
    | UnskipSchedule
    | UpdateSchedule
    | TriggerSchedule
    | BackfillSchedule
)


class Fired(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one fire."""

    id: str
    at: int
    outcome: str = ""
    detail: str = ""


class FiredPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some fires of a backfill; ask again after ``after`` unless it is None."""

    fires: list[Fired]
    after: int | None = None


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as people see it; moments in microseconds."""

    namespace: str
    name: str
    version: str
    status: str
    """``active``, ``paused`` or ``broken``."""
    kinds: tuple[str, ...]
    schedule: dict[str, Any]
    timezone: str
    overlap: str
    catch_up: int
    missed: str
    since: int
    next: list[int]
    skipping: list[int] = []
    """Fires to come that somebody asked to skip; ``next`` has none of them."""
    skip_upto: int | None = None
    paused_at: int | None = None
    reason: str = ""
    pending: int = 0
    queued: str = ""
    running: tuple[str, ...] = ()
    waiting_events: int = 0
    counts: Counts
    runs: list[Note]
    problem: Problem | None = None


class Retry(msgspec.Struct, frozen=True, kw_only=True, tag="retry"):
    """Ask for an execution that failed to go on from the task that failed."""

    id: str
    request: str
    """Tells copies of this question from others."""
    input: Any = msgspec.UNSET
    """Another raw input for that task."""
    reason: str = ""


class Rewind(msgspec.Struct, frozen=True, kw_only=True, tag="rewind"):
    """Ask for an execution to go on as it was right after one of its events; 0: anew."""

    id: str
    request: str
    at: int
    reason: str = ""


class Fork(msgspec.Struct, frozen=True, kw_only=True, tag="fork"):
    """Ask for another execution that goes on from one's past; 0: from the start."""

    id: str
    request: str
    new_id: str
    at: int = 0
    input: Any = msgspec.UNSET
    """Another input of the workflow, or of the task that begins next."""
    version: str = ""
    """Another version of the definition; empty: the same."""
    reason: str = ""


class TryFork(msgspec.Struct, frozen=True, kw_only=True, tag="try-fork"):
    """Ask what a fork would do, with the outcomes that the record has for its effects."""

    id: str
    at: int = 0
    input: Any = msgspec.UNSET
    version: str = ""


ReplayQuestion = Retry | Rewind | Fork | TryFork


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that goes on from a point of the past."""

    id: str
    point: int
    """The event that it goes on after."""
    task: str = ""
    """The task that begins anew, if one does."""


class TriedTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task with another fate in a fork that was tried than in the execution itself."""

    task: str
    path: str = ""
    before: Any = None
    """Status and output in the record; None if it did not run."""
    after: Any = None
    """The same in the fork."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """How a fork went that was tried."""

    id: str
    status: str
    """How it ended, or ``diverged``: it needs something that the record does not have."""
    same: int
    """Tasks that did what they did before."""
    changed: list[TriedTask]
    stopped_at: str = ""
    """The task that the record has nothing for, and why."""
    output: Any = None
    failure: Failure | None = None
    before: str = ""
    """How the execution itself ended."""


class LakeHistory(msgspec.Struct, frozen=True, kw_only=True, tag="lake-history"):
    """Ask the archive for an execution's events with ``after < seq < before``, a Page of them."""

    id: str
    after: int = 0
    before: int = 1 << 62


class LakeStatus(msgspec.Struct, frozen=True, kw_only=True, tag="lake-status"):
    """Ask how the archive is."""


class FlushLake(msgspec.Struct, frozen=True, kw_only=True, tag="flush-lake"):
    """Ask the archive to take up at once what the journal holds; answered before that is done."""


class CompactLake(msgspec.Struct, frozen=True, kw_only=True, tag="compact-lake"):
    """Ask for few large files instead of many small ones; a job."""


class RebuildLake(msgspec.Struct, frozen=True, kw_only=True, tag="rebuild-lake"):
    """Ask for all files to be made anew from the journal; a job.

    ``keep``: what the journal no longer has is taken from the files that are there.
    ``anew``: the files that are there are set aside, whatever they hold.
    """

    mode: Literal["full", "keep", "anew"] = "full"


class ScrubLake(msgspec.Struct, frozen=True, kw_only=True, tag="scrub-lake"):
    """Ask for files without an execution's events up to a journal sequence; a job."""

    id: str
    upto: int
    by: str = ""
    """Who wants it: kept in the tombstone."""


LakeQuestion = LakeHistory | LakeStatus | FlushLake | CompactLake | RebuildLake | ScrubLake


class LakeJob(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the historian does once; ``state``: running, done or failed."""

    id: int
    kind: str
    state: str
    detail: str = ""


class LakeView(msgspec.Struct, frozen=True, kw_only=True):
    """How the archive is."""

    tenant: str
    folder: str
    host: str
    pid: int
    state: str
    """``following``, ``behind``, ``blocked`` or ``standby``."""
    generation: int
    through: int
    newest: int
    """The journal's last sequence."""
    first: int
    """The journal's first sequence: what came before is in the archive alone."""
    behind: int
    """Commits that no file holds yet."""
    behind_seconds: float
    files: int
    rows: int
    bytes: int
    journal_bytes: int
    scrubbed: int = 0
    retired: int = 0
    problem: str = ""
    jobs: list[LakeJob] = []
