"""Which events ``flunq tail`` shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flunq.cli.rendering.events import short_type

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
        status = event.type.removesuffix(".v1").rpartition(".")[2]
        if self.statuses and status not in self.statuses:
            return False
        if self.types and not any(_is_of_type(event.type, part) for part in self.types):
            return False
        return not self.workflows or any(name in _names(event.workflow) for name in self.workflows)


def _is_of_type(type_name: str, part: str) -> bool:
    return part in short_type(type_name) or type_name.startswith(part)


def _names(workflow: str) -> tuple[str, ...]:
    """Return the ways to name ``namespace/name:version``."""
    full, _, _version = workflow.rpartition(":")
    plain = workflow.rpartition("/")[2]
    return workflow, full, plain, plain.rpartition(":")[0]
