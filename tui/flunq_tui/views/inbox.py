"""What waits for people: what has faulted, what is held, what waits for an event."""

from __future__ import annotations

from typing import ClassVar

from flunq_tui.views.executions import ExecutionsView


class InboxView(ExecutionsView):
    """Executions that go on only when somebody does something."""

    NAME: ClassVar[str] = "inbox"
    STATUSES: ClassVar[tuple[str, ...]] = ("faulted", "quarantined", "suspended", "waiting")
