"""The app below the views: its data, work in the background, and what is asked of people."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App
from textual.binding import Binding

from flunq.errors import FlunqError
from flunq_tui.actions import VIEWS
from flunq_tui.dialogs.reading import Reading
from flunq_tui.frame import Frame
from flunq_tui.messages import Catalog
from flunq_tui.model.filters import FilterError
from flunq_tui.model.meters import Meters
from flunq_tui.options import Options
from flunq_tui.palette import CommandProvider
from flunq_tui.views.base import View

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from textual.screen import Screen

    from flunq.core.events import LazyEvent
    from flunq_tui.source import Source
    from flunq_tui.widgets.json_pane import Plain

_log = logging.getLogger(__name__)
_EARLY = 20_000


class Shell(App[None]):
    """What every part of the monitor stands on."""

    TITLE = "flunq"
    COMMANDS = {CommandProvider}  # noqa: RUF012 - the type is Textual's
    # Like in every program of a terminal; texts that are edited take it for undo.
    BINDINGS: ClassVar = [Binding("ctrl+z", "suspend_process", show=False, system=True)]
    CSS = """
    #top { height: 1; background: $panel; }
    #title { height: 1; }
    #views { height: 1fr; }
    .-dimmed { opacity: 60%; }
    """

    def __init__(self, source: Source, options: Options | None = None) -> None:
        super().__init__()
        self.source = source
        self.options = options or Options()
        self.say = Catalog(self.options.language)
        self.keymap = self.options.keymap
        self.now = self.options.now
        self.zone = self.options.zone
        self.meters = Meters()
        self.early: deque[LazyEvent] = deque(maxlen=_EARLY)
        """Events that were heard before anybody looked at them."""
        self.view_name = VIEWS[0]
        for key in self.keymap.keys:
            self.bind(key, f"press('{key}')", show=False)

    def get_default_screen(self) -> Screen[None]:
        """Return the frame around the views."""
        return Frame()

    @property
    def frame(self) -> Frame:
        """The screen below all dialogs."""
        found = self.screen_stack[0]
        assert isinstance(found, Frame)
        return found

    @property
    def view(self) -> View:
        """The view that is shown."""
        return self.frame.query_one(f"#{self.view_name}", View)

    def is_shown(self, view: View) -> bool:
        """Tell whether a view is the one on the screen."""
        return self.view_name == view.NAME

    def has_view(self, name: str) -> bool:
        """Tell whether a view was opened before."""
        return bool(self.frame.query(f"#{name}"))

    # -- work --------------------------------------------------------------------------------------

    def attempt(
        self,
        work: Coroutine[Any, Any, Any],
        *,
        after: Callable[[str], None] | None = None,
        group: str = "",
        exclusive: bool = True,
    ) -> None:
        """Run something in the background; a failure is told and never ends the monitor."""
        name = group or getattr(work, "__qualname__", "work")
        self.run_worker(
            self._attempted(work, after),
            exit_on_error=False,
            group=name,
            exclusive=exclusive and bool(group) and after is None,
        )

    async def _attempted(
        self, work: Coroutine[Any, Any, Any], after: Callable[[str], None] | None
    ) -> None:
        problem = ""
        try:
            await work
        except (FlunqError, FilterError) as error:
            problem = getattr(error, "message", str(error))
        except Exception as error:  # noqa: BLE001 - one odd object must not end the monitor
            _log.exception("the monitor failed at something")
            problem = f"{type(error).__name__}: {error}"
        if after is not None:
            after(problem)
        elif problem:
            self.tell(problem, error=True)

    def tell(self, text: str, *, error: bool = False) -> None:
        """Show a message for some seconds."""
        self.notify(text, severity="error" if error else "information", markup=False, timeout=6)

    # -- questions ---------------------------------------------------------------------------------

    async def choose(self, heading: str, options: Sequence[tuple[str, str]]) -> str | None:
        """Let somebody choose one thing."""
        from flunq_tui.dialogs.choice import Choice

        return await self.push_screen_wait(Choice(heading, options))

    async def choose_many(
        self, heading: str, options: Sequence[tuple[str, str]], chosen: set[str]
    ) -> set[str] | None:
        """Let somebody choose several things."""
        from flunq_tui.dialogs.choice import Choices

        return await self.push_screen_wait(Choices(heading, options, chosen))

    async def read(self, heading: str, *, lines: Sequence[Plain] = (), value: Any = None) -> None:
        """Show something to read."""
        await self.push_screen_wait(Reading(heading, lines=lines, value=value, copy=self.copy_text))

    def copy_text(self, text: str) -> None:
        """Copy through the terminal, so that it works over ssh too."""
        self.copy_to_clipboard(text)
        self.tell(self.say("copy.done", count=len(text)))
