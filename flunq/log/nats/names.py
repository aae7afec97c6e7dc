"""The names of streams and subjects, in one place."""

from __future__ import annotations

from hashlib import blake2b

from flunq.core.ids import token, untoken
from flunq.core.protocol import inputs_subject

EXECUTORS = "exec-"
"""What the names of the consumers begin with that deliver tasks of a kind."""
_LONGEST_NAME = 200
_PARTITIONED = ("flunq.journal.", "flunq.inbox.", "flunq.wake.")


def stream_token(tenant: str) -> str:
    """Return a tenant's part of stream names: upper case, and different for different tenants."""
    return "".join(
        character.upper()
        if character in "abcdefghijklmnopqrstuvwxyz0123456789_-"
        else "".join(f"={byte:02X}" for byte in character.encode())
        for character in tenant
    )


class Names:
    """A tenant's streams and subjects."""

    def __init__(self, tenant: str) -> None:
        upper, self._tenant = stream_token(tenant), token(tenant)
        self.journal_stream = f"FLUNQ_{upper}_JOURNAL"
        self.inbox_stream = f"FLUNQ_{upper}_INBOX"
        self.tasks_stream = f"FLUNQ_{upper}_TASKS"
        self.events_stream = f"FLUNQ_{upper}_EVENTS"
        self.schedules_stream = f"FLUNQ_{upper}_SCHEDULES"
        self.dlq_stream = f"FLUNQ_{upper}_DLQ"
        self.audit_stream = f"FLUNQ_{upper}_AUDIT"
        self.journals = f"flunq.journal.{self._tenant}.*"
        self.feed = f"flunq.feed.{self._tenant}.{{{{wildcard(1)}}}}"
        self.inboxes = f"flunq.inbox.{self._tenant}.*.*"
        self.inputs = inputs_subject(tenant)
        self.tasks = f"flunq.tasks.{self._tenant}.*.*"
        self.events = [f"flunq.evt.{self._tenant}.{origin}.>" for origin in ("ext", "eng", "reg")]
        self.all_events = f"flunq.evt.{self._tenant}.>"
        self.wakes = f"flunq.wake.{self._tenant}.*"
        self.schedules = f"flunq.schedule.{self._tenant}.*.*"
        self.dead_letters = f"flunq.dlq.{self._tenant}.>"
        self.dead_letter = f"flunq.dlq.{self._tenant}.letter"
        self.audit = f"flunq.audit.{self._tenant}"

    def streams(self) -> dict[str, str]:
        """Return what each of the tenant's streams is for, by its name."""
        return {
            self.journal_stream: "journal",
            self.inbox_stream: "inbox",
            self.tasks_stream: "tasks",
            self.events_stream: "events",
            self.schedules_stream: "schedules",
            self.dlq_stream: "dead_letters",
            self.audit_stream: "audit",
        }

    def journal(self, partition: int) -> str:
        """Return a partition's journal subject."""
        return f"flunq.journal.{self._tenant}.{partition}"

    def inbox(self, partition: int, origin: str = "*") -> str:
        """Return a partition's inbox subject for inputs from clients (ext) or nodes (eng)."""
        return f"flunq.inbox.{self._tenant}.{partition}.{origin}"

    def task(self, kind: str, execution: str) -> str:
        """Return the subject of an execution's tasks of one kind."""
        return f"flunq.tasks.{self._tenant}.{_bounded(kind)}.{token(execution)}"

    def tasks_of_kind(self, kind: str) -> str:
        """Return the pattern of all tasks of one kind."""
        return f"flunq.tasks.{self._tenant}.{_bounded(kind)}.*"

    def tasks_of_execution(self, execution: str) -> str:
        """Return the pattern of all tasks of one execution."""
        return f"flunq.tasks.{self._tenant}.*.{token(execution)}"

    def event(self, origin: str, type_name: str) -> str:
        """Return the subject of an event."""
        return f"flunq.evt.{self._tenant}.{origin}.{_bounded(type_name)}"

    def wake(self, partition: int) -> str:
        """Return the subject on which a partition's wake-ups arrive."""
        return f"flunq.wake.{self._tenant}.{partition}"

    def schedule(self, partition: int, bucket: str) -> str:
        """Return the subject that holds one pending wake-up."""
        return f"flunq.schedule.{self._tenant}.{partition}.{token(bucket) or '='}"


def _bounded(name: str) -> str:
    """Encode a name that documents and events choose; very long ones are told apart by a digest."""
    part = token(name)
    if len(part) <= _LONGEST_NAME:
        return part
    return f"{part[:100]}={blake2b(name.encode(), digest_size=16).hexdigest()}"


def partition_of_subject(subject: str) -> int:
    """Return the partition that a subject of a partitioned stream names; else -1."""
    if not subject.startswith(_PARTITIONED):
        return -1
    parts = subject.split(".", 4)
    number = parts[3] if len(parts) > 3 else ""
    return int(number) if number.isascii() and number.isdigit() else -1


def key_to_subject(key: str) -> str:
    """Encode a key with ``/`` between its parts, so that prefixes can be asked for."""
    return ".".join(token(part) if part else "=" for part in key.split("/"))


def subject_to_key(subject: str) -> str:
    """Undo :func:`key_to_subject`."""
    return "/".join("" if part == "=" else untoken(part) for part in subject.split("."))
