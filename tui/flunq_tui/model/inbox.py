"""What waits for people: one list of dead letters, failures, questions and what is held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq_tui.model.formats import micros, task_name
from flunq_tui.model.graph import event_types

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flunq.core.letters import Letter
    from flunq.core.protocol import DefinitionText, Details

ORDER = ("waiting", "dead", "quarantined", "faulted", "suspended")
"""What is in the inbox, and what comes first: somebody waits for an answer."""


class Matter(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that goes on only when somebody acts."""

    id: str
    kind: str
    """``execution`` or ``letter``."""
    status: str
    workflow: str = ""
    execution: str = ""
    moment: int = 0
    """Since when (microseconds)."""
    detail: str = ""

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"{self.kind} {self.id}"

    def facts(self, now: int) -> dict[str, Any]:
        """Return what filters compare."""
        return {
            "id": self.id,
            "status": self.status,
            "workflow": self.workflow,
            "execution": self.execution,
            "detail": self.detail,
            "age": now - self.moment,
        }


FACTS = ("id", "status", "workflow", "execution", "detail", "age")


def of_letter(letter: Letter) -> Matter:
    """Return a dead letter as a matter."""
    task = f" {task_name(letter.task)}" if letter.task else ""
    return Matter(
        id=letter.id,
        kind="letter",
        status="dead",
        workflow=letter.workflow,
        execution=letter.execution,
        moment=micros(letter.time),
        detail=f"{letter.origin}{task}: {letter.reason}",
    )


def of_execution(details: Details, document: Mapping[str, Any] | None) -> Matter | None:
    """Return an execution as a matter; None if it goes on by itself."""
    if details.status not in ORDER or (details.status == "waiting" and not _listens(details)):
        return None  # it may have gone on since it was listed
    return Matter(
        id=details.id,
        kind="execution",
        status=details.status,
        workflow=f"{details.namespace}/{details.workflow}:{details.version}",
        execution=details.id,
        moment=details.ended_at or details.started_at,
        detail=_detail(details, document),
    )


def may_listen(definition: DefinitionText | None) -> bool:
    """Tell whether executions of a definition can wait for an event, as far as it says."""
    if definition is None or definition.resources:
        return True  # functions that were registered with it may listen, too
    return b'"listen":' in msgspec.json.encode(definition.document)


def sort_key(matter: Matter) -> tuple[int, int, str]:
    """Return where a matter stands in the list: by what it is, newest first."""
    place = ORDER.index(matter.status) if matter.status in ORDER else len(ORDER)
    return place, -matter.moment, matter.id


def _listens(details: Details) -> list[str]:
    return [str(each.get("task")) for each in details.waiting if each.get("for") == "event"]


def _detail(details: Details, document: Mapping[str, Any] | None) -> str:
    failure = details.failure
    if failure is not None:
        text = failure.title or failure.type
        return f"{text} ({failure.status}) {failure.detail or ''}".strip()
    if details.status != "waiting":
        return ""
    from flunq_tui.model.awaiting import task_at

    names = []
    for reference in _listens(details):
        task = task_at(document, reference) if document is not None else None
        types = event_types(task) if isinstance(task, dict) else []
        names.append(f"{task_name(reference)}: {', '.join(types) or '?'}")
    return "; ".join(names)
