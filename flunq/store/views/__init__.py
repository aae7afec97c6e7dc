"""The views of ``flunq sql``: one ``.sql`` file each, and here what their columns are.

A test compares this table with what DuckDB says, so that documentation and views stay one.
"""

from __future__ import annotations

from importlib.resources import files
from typing import NamedTuple


class ViewColumn(NamedTuple):
    """One column of a view."""

    name: str
    kind: str
    doc: str


class View(NamedTuple):
    """One view."""

    name: str
    doc: str
    columns: tuple[ViewColumn, ...]


def _view(name: str, doc: str, columns: str) -> View:
    """Read ``name TYPE words`` lines."""
    lines = (line.strip().split("|") for line in columns.strip().splitlines())
    return View(name, doc, tuple(ViewColumn(a.strip(), b.strip(), c.strip()) for a, b, c in lines))


_WORKFLOW = """
    namespace | VARCHAR | namespace of the workflow
    workflow | VARCHAR | name of the workflow
    version | VARCHAR | version of the workflow
"""
_ERROR = """
    error_type | VARCHAR | type of the error, a URI
    error_status | INTEGER | status of the error
    error_title | VARCHAR | title of the error
    error_detail | VARCHAR | detail of the error
"""
_ERROR_TASK = _ERROR + "    error_task | VARCHAR | reference of the task that raised it"
_RUN = "    run | BIGINT | 1; grows when a deleted execution's id is used again"

_EVENTS = f"""
    execution_id | VARCHAR | the execution
    seq | BIGINT | number within the execution, from 1, without gaps
    type | VARCHAR | CloudEvents type
    time | TIMESTAMP | when it happened, UTC
    task | VARCHAR | reference of the task, such as /do/0/charge
    step | BIGINT | number of the task instance; joins tasks.step
    data | JSON | what the event says
    source | VARCHAR | CloudEvents source
    workflow | VARCHAR | namespace/name:version
    partition | INTEGER | partition of the journal
    journal_seq | BIGINT | number in the journal: a total order over all executions
    position | INTEGER | place within its commit
    traceparent | VARCHAR | W3C trace context
{_RUN}
"""
_EXECUTIONS = f"""
    tenant | VARCHAR | the tenant
    id | VARCHAR | the execution
{_WORKFLOW.strip()}
    status | VARCHAR | running, suspended, completed, faulted, cancelled or quarantined
    started_at | TIMESTAMP | when it started, UTC
    ended_at | TIMESTAMP | when it ended; null while it has not
    duration_ms | DOUBLE | from start to end
    input | JSON | input as it was given
    output | JSON | output; null unless it completed
{_ERROR_TASK.strip()}
    reason | VARCHAR | why it was last suspended, cancelled or quarantined
    parent_id | VARCHAR | the execution that started it
    parent_task | VARCHAR | the task of the parent that started it
    tags | MAP(VARCHAR, VARCHAR) | its labels: tags['team']
    digest | VARCHAR | digest of the definition
    deleted_at | TIMESTAMP | when it was deleted from the cluster
    partition | INTEGER | partition of the journal
    traceparent | VARCHAR | W3C trace context
{_RUN}
"""
_TASKS = f"""
    execution_id | VARCHAR | the execution
{_WORKFLOW.strip()}
    step | BIGINT | number of the instance within the execution
    task | VARCHAR | reference, such as /do/0/charge
    name | VARCHAR | last part of the reference
    kind | VARCHAR | call, set, wait, for, fork, try, ...; null of a skipped task
    status | VARCHAR | running, completed, faulted, cancelled or skipped
    attempt | INTEGER | in which attempt of the try around it
    attempts | INTEGER | of a try: how many attempts; otherwise 1
    started_at | TIMESTAMP | when it started, UTC
    ended_at | TIMESTAMP | when it ended
    duration_ms | DOUBLE | from start to end
    queue_ms | DOUBLE | from the event before it to its start
    input | JSON | input before its transformation
    transformed | JSON | input after its transformation, where that changed it
    output | JSON | output; null unless it completed
{_ERROR_TASK.strip()}
    parent_step | BIGINT | step of the task around it; 0 is the workflow
    path | VARCHAR | index in the loops around it
{_RUN}
"""
_ATTEMPTS = f"""
    execution_id | VARCHAR | the execution
{_WORKFLOW.strip()}
    step | BIGINT | step of the try
    task | VARCHAR | reference of the try
    name | VARCHAR | last part of the reference
    attempt | INTEGER | number, from 1
    status | VARCHAR | running, completed, retried, caught, faulted or cancelled
    started_at | TIMESTAMP | when it started or is to start, UTC
    ended_at | TIMESTAMP | when it ended
    duration_ms | DOUBLE | from start to end
    delay_ms | DOUBLE | how long it was put off after the attempt before
{_ERROR_TASK.strip()}
{_RUN}
"""
_TIMERS = f"""
    execution_id | VARCHAR | the execution
{_WORKFLOW.strip()}
    timer | VARCHAR | id within the execution
    purpose | VARCHAR | wait, retry, timeout or attempt
    step | BIGINT | step of its task; 0 is the workflow
    task | VARCHAR | reference of its task
    status | VARCHAR | pending, fired or disarmed
    armed_at | TIMESTAMP | when it was set, UTC
    due_at | TIMESTAMP | when it is due
    fired_at | TIMESTAMP | when its firing was recorded
    late_ms | DOUBLE | how late that was
{_RUN}
"""
_WORKFLOWS = """
    namespace | VARCHAR | namespace
    name | VARCHAR | name
    version | VARCHAR | version
    digest | VARCHAR | digest of the document; cluster only
    title | VARCHAR | title; cluster only
    latest | BOOLEAN | whether it is the newest version; cluster only
    registered | BOOLEAN | whether it is registered; null when the cluster was not asked
    registered_at | TIMESTAMP | when it was registered; cluster only
    executions | BIGINT | how many were started
    first_started_at | TIMESTAMP | when the first started, UTC
    last_started_at | TIMESTAMP | when the last started
"""
_SCHEDULES = """
    namespace | VARCHAR | namespace of the workflow
    name | VARCHAR | name of the workflow
    version | VARCHAR | version that it starts, or last started
    status | VARCHAR | active, paused or broken; cluster only
    schedule | JSON | the schedule as it was written; cluster only
    timezone | VARCHAR | its time zone; cluster only
    overlap | VARCHAR | what happens when a run is not done at the next; cluster only
    next_at | TIMESTAMP | the next fire, UTC; cluster only
    paused_at | TIMESTAMP | since when it is paused; cluster only
    reason | VARCHAR | why it is paused; cluster only
    pending | BIGINT | fires that wait; cluster only
    executions | BIGINT | how many it has started
    last_started_at | TIMESTAMP | when the last of them started
    last_execution_id | VARCHAR | the last of them
"""
_ALERTS = """
    rule | VARCHAR | name of the alert
    number | BIGINT | how often it had fired by then
    status | VARCHAR | firing or resolved
    time | TIMESTAMP | when it was told, UTC
    since | TIMESTAMP | since when it held
    delivery | VARCHAR | waiting, delivered, failed, or none without a webhook
    tries | BIGINT | requests that were made
    problem | VARCHAR | why the last of them failed
"""
_STREAMS = """
    name | VARCHAR | what the broker calls it
    kind | VARCHAR | journal, inbox, tasks, events, schedules, dead_letters, audit or blobs
    messages | BIGINT | messages that are stored
    bytes | BIGINT | bytes that are stored
    max_bytes | BIGINT | the lower of its limit and the tenant's quota; null without either
    share | DOUBLE | bytes of max_bytes: 1 is full
    subjects | BIGINT | different subjects among the messages
    first_at | TIMESTAMP | when the oldest message was stored, UTC
    last_at | TIMESTAMP | when the newest message was stored
    consumers | BIGINT | consumers of the broker that read it now
    replicas | BIGINT | servers that hold it
"""
_CONSUMERS = """
    stream | VARCHAR | the stream that it reads; joins streams.name
    name | VARCHAR | what the broker calls it
    serves | VARCHAR | kind of tasks that it delivers, such as http
    pending | BIGINT | messages that were never delivered: how far it is behind
    unacked | BIGINT | messages that were delivered and are not finished
    redelivered | BIGINT | of those, delivered more than once
    waiting | BIGINT | requests for more that are open
    delivered_at | TIMESTAMP | when it delivered last, UTC
    acked_at | TIMESTAMP | when something was last finished
"""
_DEAD_LETTERS = f"""
    execution_id | VARCHAR | the execution
{_WORKFLOW.strip()}
    origin | VARCHAR | execution: it cannot go on; task: its attempts are used up
    task | VARCHAR | reference of the task; null for an execution
    attempts | INTEGER | how often a try was begun; null for others
    at | TIMESTAMP | when it was given up, UTC
    reason | VARCHAR | why
{_ERROR.strip()}
    data | JSON | all that is known of it
"""

VIEWS: dict[str, View] = {
    view.name: view
    for view in (
        _view("events", "Every event of every execution, as it was recorded.", _EVENTS),
        _view("executions", "One row for each execution.", _EXECUTIONS),
        _view("tasks", "One row for each task instance, skipped ones included.", _TASKS),
        _view("attempts", "One row for each attempt of each try task.", _ATTEMPTS),
        _view("timers", "One row for each timer that was set.", _TIMERS),
        _view("workflows", "One row for each version of a workflow.", _WORKFLOWS),
        _view("schedules", "One row for each workflow that starts by itself.", _SCHEDULES),
        _view("alerts", "The 50 newest notices of all alerts; cluster only.", _ALERTS),
        _view("streams", "How full streams and buckets are now; cluster only.", _STREAMS),
        _view("consumers", "How far durable consumers are behind; cluster only.", _CONSUMERS),
        _view("dead_letters", "Executions and tasks that could not go on.", _DEAD_LETTERS),
    )
}


def view_sql(name: str) -> str:
    """Return the SELECT of a view."""
    return files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
