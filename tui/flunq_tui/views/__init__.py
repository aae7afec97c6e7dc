"""The pages of the monitor, by name. A view is added here and in ``actions.VIEWS``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flunq_tui.views.base import View

CLASSES = {
    "executions": "ExecutionsView",
    "events": "EventsView",
    "overview": "OverviewView",
    "workflows": "WorkflowsView",
    "schedules": "SchedulesView",
    "inbox": "InboxView",
    "nodes": "NodesView",
    "logs": "LogsView",
    "sql": "SqlView",
    "execution": "ExecutionView",
}
"""The module of a view is called like the view."""


def view_class(name: str) -> type[View]:
    """Import a view; the first screen shall not wait for those that nobody has opened."""
    found: type[View] = getattr(import_module(f"{__name__}.{name}"), CLASSES[name])
    return found
