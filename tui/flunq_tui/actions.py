"""The one registry of everything that can be done: keys, help, palette and ``:`` are made from it.

Whether a command is possible, and why not, is decided here without a screen.
"""

from __future__ import annotations

from functools import partial

import msgspec

from flunq.core.statuses import ENDED

LISTS = frozenset(
    {"executions", "inbox", "events", "workflows", "schedules", "nodes", "logs", "sql"}
)
FILTERED = LISTS - {"nodes", "sql"}
RUNS = frozenset({"executions", "inbox"})
ONE = frozenset({"execution"})
ACTIVE = frozenset({"running", "waiting"})
STAYS = 90
DEAD = "dead"
"""The status of a dead letter."""
FAILED = ENDED - {"completed"}


class Item(msgspec.Struct, frozen=True):
    """One thing that a command would change."""

    id: str
    status: str = ""
    kind: str = "execution"
    name: str = ""
    """The workflow of an execution, or the name of a workflow or schedule."""


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What matters for whether a command is possible."""

    view: str
    items: tuple[Item, ...] = ()
    offline: bool = False
    connected: bool = True


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can be done. Title and help are the messages ``do.<id>`` and ``help.<id>``."""

    id: str
    keys: tuple[str, ...] = ()
    group: str = "global"
    views: frozenset[str] = frozenset()
    """Empty: everywhere."""
    argument: bool = False
    """After ``:`` a text may follow its name."""
    changes: bool = False
    """It changes the cluster, so that it needs one."""
    danger: bool = False
    """It asks before it does it."""
    statuses: frozenset[str] = frozenset()
    """Executions or schedules must be in one of these."""
    kind: str = ""
    """What has to be selected, kinds of items with blanks between them, or ``any``."""
    hint: int = 0
    """The footer shows commands with a number, in that order; from STAYS on whatever its width."""

    def is_in(self, view: str) -> bool:
        """Tell whether the command exists in a view."""
        return not self.views or view in self.views


def _view(number: int, name: str) -> Command:
    return Command(id=f"view_{name}", keys=(str(number),), group="views")


VIEWS = (
    "executions",
    "events",
    "overview",
    "workflows",
    "schedules",
    "inbox",
    "nodes",
    "logs",
    "sql",
)
_RUN = RUNS | ONE

_move = partial(Command, group="move")
_listed = partial(Command, group="list")
_scrub = partial(Command, group="scrub", views=ONE)
_query = partial(Command, group="query", views=frozenset({"sql"}))
_change = partial(Command, group="act", changes=True)
_execution = partial(_change, views=_RUN, kind="execution")
_failing = partial(_change, views=_RUN, kind="execution letter")
_schedule = partial(_change, views=frozenset({"schedules"}), kind="schedule")

COMMANDS: tuple[Command, ...] = (
    Command(id="help", keys=("question_mark", "f1"), hint=90),
    Command(id="palette", keys=("ctrl+p",)),
    Command(id="command", keys=("colon",), hint=80),
    Command(id="filter", keys=("slash",), hint=20, views=FILTERED | ONE),
    Command(id="back", keys=("escape",)),
    Command(id="leave", keys=("q",), hint=99),
    Command(id="quit", keys=("ctrl+q",)),
    Command(id="older_view", keys=("left_square_bracket",), group="views"),
    Command(id="newer_view", keys=("right_square_bracket",), group="views"),
    *(_view(number, name) for number, name in enumerate(VIEWS, 1)),
    Command(id="refresh", keys=("r",)),
    Command(id="zoom", keys=("z",), views=ONE | {"workflows", "schedules"}),
    Command(id="theme", keys=("T",)),
    Command(id="mouse", keys=("M",)),
    Command(id="write", keys=("ctrl+s",), views=LISTS),
    Command(id="actions", keys=("a",), views=LISTS | ONE, hint=55),
    _listed(id="save", views=FILTERED | {"sql"}, argument=True),
    _listed(id="filters", views=FILTERED),
    _listed(id="forget", views=FILTERED | {"sql"}, argument=True),
    # moving
    _move(id="up", keys=("up", "k")),
    _move(id="down", keys=("down", "j")),
    _move(id="page_up", keys=("pageup", "ctrl+u")),
    _move(id="page_down", keys=("pagedown", "ctrl+f")),
    _move(id="top", keys=("home", "g")),
    _move(id="bottom", keys=("end", "G")),
    _move(id="open", keys=("enter",), views=LISTS | ONE | {"overview"}, hint=10),
    _move(id="fold", keys=("left", "h"), views=ONE),
    _move(id="unfold", keys=("right", "l"), views=ONE),
    # lists
    _listed(id="mark", keys=("x",), views=LISTS | ONE),
    _listed(id="mark_to", keys=("X",), views=LISTS),
    _listed(id="sort", keys=("s",), views=RUNS, hint=40),
    _listed(id="columns", keys=("o",), views=LISTS),
    _listed(id="follow", keys=("f",), views=RUNS | {"events", "logs"}, hint=50),
    _listed(id="pause", keys=("space",), views=RUNS | {"events", "logs"}, hint=51),
    # executions
    Command(id="why", keys=("w",), group="execution", views=_RUN, kind="execution", hint=30),
    Command(id="json", keys=("y",), group="execution", views=LISTS | ONE, kind="any"),
    Command(id="events", keys=("e",), group="execution", views=_RUN, kind="execution"),
    _execution(id="suspend", keys=("p",), statuses=ACTIVE, hint=60),
    _execution(id="resume", keys=("u",), statuses=frozenset({"suspended"})),
    _execution(
        id="cancel", keys=("ctrl+d",), danger=True, statuses=ACTIVE | {"suspended"}, hint=61
    ),
    _failing(id="delete", keys=("D",), danger=True, statuses=ENDED | {DEAD}),
    _failing(id="retry", keys=("R",), statuses=FAILED | {DEAD}),
    _failing(id="retry_edited", keys=("ctrl+e",), statuses=FAILED | {DEAD}),
    _execution(id="fork", keys=("F",)),
    _execution(id="rewind", keys=("B",), views=ONE, danger=True, statuses=ENDED | {"suspended"}),
    _execution(id="answer", keys=("A",), statuses=frozenset({"waiting"})),
    _change(id="start", keys=("n",), views=_RUN | {"workflows"}, kind="any", hint=62),
    _change(id="emit", keys=("E",)),
    Command(id="copy", keys=("c",), group="act", views=LISTS | ONE, kind="any", hint=70),
    _execution(id="export", keys=("S",)),
    # one execution
    _scrub(id="event_back", keys=("comma",), hint=31),
    _scrub(id="event_on", keys=("full_stop",), hint=32),
    _scrub(id="many_back", keys=("less_than_sign",)),
    _scrub(id="many_on", keys=("greater_than_sign",)),
    _scrub(id="first_event", keys=("0",)),
    _scrub(id="last_event", keys=("dollar_sign",)),
    _scrub(id="play", keys=("P",)),
    _scrub(id="next_failure", keys=("exclamation_mark",), hint=33),
    _scrub(id="next_pane", keys=("v",), hint=34),
    _scrub(id="diff", keys=("d",), hint=35),
    Command(id="source", keys=("L",), group="scrub", views=ONE | {"workflows"}),
    _scrub(id="find_next", keys=("N",)),
    _listed(id="level", keys=("v",), views=frozenset({"logs"}), hint=45),
    # queries
    _query(id="run", keys=("ctrl+r", "f5"), hint=11),
    _query(id="queries", keys=("ctrl+o",), hint=12),
    _query(id="plot", keys=("b",), hint=13),
    _query(id="edit", keys=("i",), hint=14),
    # schedules
    _schedule(id="trigger", keys=("F",), hint=60),
    _schedule(id="pause_schedule", keys=("p",), statuses=frozenset({"active"}), hint=61),
    _schedule(id="resume_schedule", keys=("u",), statuses=frozenset({"paused"}), hint=62),
    _schedule(id="skip", keys=("K",), hint=63),
    _schedule(id="unskip", keys=("ctrl+k",)),
)
by_id = {each.id: each for each in COMMANDS}


def possible(command: Command, situation: Situation) -> tuple[Item, ...]:
    """Return the selected things that the command can be done to."""
    return tuple(
        item
        for item in situation.items
        if _is_meant(command, item) and (not command.statuses or item.status in command.statuses)
    )


def _is_meant(command: Command, item: Item) -> bool:
    return command.kind in ("", "any") or item.kind in command.kind.split()


def why_not(command: Command, situation: Situation) -> tuple[str, dict[str, str]] | None:
    """Return the message that says why a command is impossible; None if it is possible."""
    if not command.is_in(situation.view):
        return "no.view", {}
    if command.changes and situation.offline:
        return "no.file", {}
    if command.changes and not situation.connected:
        return "no.connection", {}
    if command.kind and not situation.items:
        return "no.selection", {}
    if command.kind and not any(_is_meant(command, item) for item in situation.items):
        return "no.kind", {}
    if command.kind and not possible(command, situation):
        status = situation.items[0].status or "?"
        return "no.status", {"status": status, "wanted": ", ".join(sorted(command.statuses))}
    return None
