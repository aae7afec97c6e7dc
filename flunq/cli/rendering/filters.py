"""Which events ``flunq tail`` shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flunq.core.events import short_type
from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq.core.events import LazyEvent


@dataclass(frozen=True, kw_only=True, slots=True)
class EventFilter:
    """Kinds of filters all have to agree; the values of one kind are alternatives."""

    statuses: Sequence[str] = ()
    types: Sequence[str] = ()
    workflows: Sequence[str] = ()

    def wants(self, event: LazyEvent) -> bool:
        """Tell whether to show an event."""
        status = _status(event.type)
        if self.statuses and status not in self.statuses:
            return False
        if self.types and not any(_is_of_type(event.type, part) for part in self.types):
            return False
        return not self.workflows or any(name in _names(event.workflow) for name in self.workflows)


def check_statuses(words: Sequence[str]) -> None:
    """Refuse what no event says."""
    from flunq.core.events import GONE, QUARANTINED
    from flunq.core.execution.fold import REDUCERS  # the engine; only a filter needs it

    known = sorted({_status(name) for name in (*REDUCERS, *GONE, QUARANTINED)})
    for word in words:
        if word not in known:
            raise UsageError(f"no event says {word!r}", hint=f"one of {', '.join(known)}")


def _status(type_name: str) -> str:
    return type_name.removesuffix(".v1").rpartition(".")[2]


def _is_of_type(type_name: str, part: str) -> bool:
    return part in short_type(type_name) or type_name.startswith(part)


def _names(workflow: str) -> tuple[str, ...]:
    """Return the ways to name ``namespace/name:version``."""
    full, _, _version = workflow.rpartition(":")
    plain = workflow.rpartition("/")[2]
    return workflow, full, plain, plain.rpartition(":")[0]
