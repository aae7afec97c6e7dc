"""The metrics of the engine: names, labels and meanings in one table, children cached by label."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from flunq.telemetry.metrics import DEFAULT_BUCKETS, Counter, Gauge, Histogram, registry

if TYPE_CHECKING:
    from collections.abc import Callable

_BYTES = (256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0)
_LONG = (*DEFAULT_BUCKETS, 30.0, 60.0, 300.0, 1800.0, 3600.0)


class Spec(NamedTuple):
    """One metric."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = DEFAULT_BUCKETS


SPECS = {
    "flunq_up": Spec("gauge", "1 while the service works.", ("service",)),
    "flunq_build_info": Spec("gauge", "Always 1; the version is its label.", ("version",)),
    "flunq_commits_total": Spec("counter", "Commits to the journal.", ("tenant",)),
    "flunq_events_total": Spec("counter", "Events in those commits.", ("tenant",)),
    "flunq_commit_bytes": Spec("histogram", "Bytes of a commit.", ("tenant",), _BYTES),
    "flunq_commit_duration_seconds": Spec(
        "histogram", "Time until a commit is acknowledged.", ("tenant",)
    ),
    "flunq_executions_ended_total": Spec(
        "counter", "Executions that have ended, by how.", ("tenant", "status")
    ),
    "flunq_executions_open": Spec("gauge", "Executions that have not ended.", ("tenant",)),
    "flunq_partitions_owned": Spec("gauge", "Partitions that the node owns.", ("tenant",)),
    "flunq_input_wait_seconds": Spec(
        "histogram", "Time from storing a command in the inbox to taking it.", ("tenant",), _LONG
    ),
    "flunq_task_wait_seconds": Spec(
        "histogram", "Time from a task's commit to its begin on a node.", ("tenant",), _LONG
    ),
    "flunq_task_queue_depth": Spec("gauge", "Tasks that wait for a slot of the node.", ("tenant",)),
    "flunq_task_queue_oldest_seconds": Spec("gauge", "How long the oldest waits.", ("tenant",)),
    "flunq_tasks_total": Spec(
        "counter", "Attempts of tasks: completed, failed, stopped.", ("kind", "outcome")
    ),
    "flunq_task_duration_seconds": Spec("histogram", "How long attempts ran.", ("kind",), _LONG),
    "flunq_tasks_running": Spec("gauge", "Tasks in flight on the node."),
    "flunq_task_slots": Spec("gauge", "Tasks that may be in flight on the node."),
    "flunq_spans_total": Spec(
        "counter", "Spans of traces, by what became of them: sent, refused.", ("tenant", "outcome")
    ),
    "flunq_alerts_firing": Spec("gauge", "Alert rules that are firing.", ("tenant",)),
    "process_resident_memory_bytes": Spec("gauge", "Memory of the process that is in RAM."),
    "process_cpu_seconds_total": Spec("counter", "Time the process used, user and system."),
    "process_start_time_seconds": Spec("gauge", "When the process began, Unix time."),
}


@cache
def counter(name: str, *values: str) -> Counter:
    """Return the counter of the table with these values of its labels."""
    spec = SPECS[name]
    return registry.counter(name, spec.help, **dict(zip(spec.labels, values, strict=True)))


@cache
def gauge(name: str, *values: str) -> Gauge:
    """Return the gauge of the table with these values of its labels."""
    spec = SPECS[name]
    return registry.gauge(name, spec.help, **dict(zip(spec.labels, values, strict=True)))


@cache
def histogram(name: str, *values: str) -> Histogram:
    """Return the histogram of the table with these values of its labels."""
    spec = SPECS[name]
    labels = dict(zip(spec.labels, values, strict=True))
    return registry.histogram(name, spec.help, spec.buckets, **labels)


class CommitMeter:
    """Counts the commits of a tenant."""

    def __init__(self, tenant: str) -> None:
        self._commits = counter("flunq_commits_total", tenant)
        self._events = counter("flunq_events_total", tenant)
        self._bytes = histogram("flunq_commit_bytes", tenant)
        self._seconds = histogram("flunq_commit_duration_seconds", tenant)

    def note(self, begun: float, size: int, events: int) -> None:
        """Count a commit that was begun at a moment of the monotonic clock."""
        self._commits.inc()
        self._events.inc(events)
        self._bytes.observe(size)
        self._seconds.observe(time.perf_counter() - begun)


class WaitMeter:
    """Knows which tasks of a tenant wait here for a slot, and since when."""

    def __init__(self, tenant: str) -> None:
        self._since: dict[str, float] = {}
        self._seconds = histogram("flunq_task_wait_seconds", tenant)
        gauge("flunq_task_queue_depth", tenant).read_from(lambda: len(self._since))
        gauge("flunq_task_queue_oldest_seconds", tenant).read_from(self.oldest)

    def begun_at_once(self) -> None:
        """Note that a task has not waited at all."""
        self._seconds.observe(0.0)

    def produced(self, task: str) -> None:
        """Note that a task may begin."""
        self._since.setdefault(task, time.perf_counter())

    def consumed(self, task: str) -> None:
        """Note that it has begun."""
        since = self._since.pop(task, None)
        if since is not None:
            self._seconds.observe(time.perf_counter() - since)

    def forget(self, task: str) -> None:
        """Note that it is not going to begin here."""
        self._since.pop(task, None)

    def oldest(self) -> float:
        """Return for how many seconds the oldest waits."""
        since = next(iter(self._since.values()), None)
        return 0.0 if since is None else time.perf_counter() - since


def note_task(kind: str, begun: float, outcome: str) -> None:
    """Count an attempt of a task that began at a moment of the monotonic clock."""
    total, seconds = _task_metrics(kind, outcome)
    total.inc()
    seconds.observe(time.perf_counter() - begun)


@cache
def _task_metrics(kind: str, outcome: str) -> tuple[Counter, Histogram]:
    return (
        counter("flunq_tasks_total", kind, outcome),
        histogram("flunq_task_duration_seconds", kind),
    )


def describe_process(service: str, version: str, memory: Callable[[], float]) -> None:
    """Let the metrics tell which process this is and what it uses."""
    gauge("flunq_up", service).set(1)
    gauge("flunq_build_info", version).set(1)
    gauge("process_start_time_seconds").set(time.time())
    gauge("process_resident_memory_bytes").read_from(memory)
    counter("process_cpu_seconds_total").read_from(time.process_time)


def table() -> str:
    """Return the metrics as a table of Markdown."""
    rows = ["| metric | kind | labels | what it says |", "| --- | --- | --- | --- |"]
    for name, spec in SPECS.items():
        labels = ", ".join(f"`{label}`" for label in spec.labels)
        rows.append(f"| `{name}` | {spec.kind} | {labels} | {spec.help} |")
    return "\n".join(rows)
