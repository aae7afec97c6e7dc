"""Moves through the history of an execution: by keys, by mouse, by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq_tui.views.base import View

if TYPE_CHECKING:
    from textual.timer import Timer

    from flunq_tui.model.execution import Execution
    from flunq_tui.widgets.scrubber import Scrubber

_MANY = 10
_PLAY_SECONDS = 0.2


class Scrubbing(View):
    """A view that shows an execution as it was after an event."""

    def __init__(self) -> None:
        super().__init__()
        self.execution: Execution
        self.position = 0
        self.live = True
        """Whether the newest event is shown, and those to come."""
        self.pane_chosen = False
        """Whether somebody chose the pane that is shown."""
        self._playing: Timer | None = None

    def position_shown(self) -> int | None:
        """Return the event of the past that the screen shows."""
        return None if self.live else self.position

    def show_position(self) -> None:
        """Draw everything as it was after the event."""

    # -- the history -------------------------------------------------------------------------------

    def seek(self, position: int) -> None:
        """Show everything as it was after an event."""
        last = self.execution.last
        self.position = min(max(position, 1), last) if last else 0
        self.live = self.position == last
        self.show_position()

    def on_scrubber_moved(self, event: Scrubber.Moved) -> None:
        """The mouse chose an event."""
        event.stop()
        self.stop_playing()
        self.seek(event.position)

    def do_event_back(self) -> None:
        """One event back."""
        self.stop_playing()
        self.seek(self.position - 1)

    def do_event_on(self) -> None:
        """One event on."""
        self.stop_playing()
        self.seek(self.position + 1)

    def do_many_back(self) -> None:
        """Ten events back."""
        self.seek(self.position - _MANY)

    def do_many_on(self) -> None:
        """Ten events on."""
        self.seek(self.position + _MANY)

    def do_first_event(self) -> None:
        """Go to the beginning."""
        self.stop_playing()
        self.seek(1)

    def do_last_event(self) -> None:
        """Go to the newest event, and on with those to come."""
        self.stop_playing()
        self.seek(self.execution.last)

    def do_next_failure(self) -> None:
        """Go to the next failure; after the last one begin again."""
        found = self.execution.next_failure(self.position)
        found = self.execution.next_failure(0) if found is None else found
        if found is None:
            self.monitor.tell(self.say("none.failure"))
            return
        self.stop_playing()
        self.pane_chosen = False
        self.seek(found)

    def do_play(self) -> None:
        """Show one event after the other, from the beginning if at the end."""
        if self._playing is not None:
            self.stop_playing()
            return
        if self.live:
            self.seek(1)
        self._playing = self.set_interval(_PLAY_SECONDS, self._play_on)

    def _play_on(self) -> None:
        self.seek(self.position + 1)
        if self.live:
            self.stop_playing()

    def stop_playing(self) -> None:
        """Stay at the event that is shown."""
        if self._playing is not None:
            self._playing.stop()
            self._playing = None
