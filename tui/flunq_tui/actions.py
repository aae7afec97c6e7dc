"""The one registry of everything that can be done: keys, help, palette and ``:`` are made from it.

Whether a command is possible, and why not, is decided here without a screen.
"""

from __future__ import annotations

import msgspec

from flunq_tui.model.listing import ENDED

LISTS = frozenset(
    {"executions", "inbox", "events", "workflows", "schedules", "nodes", "logs", "sql"}
)
FILTERED = LISTS - {"nodes", "sql"}
RUNS = frozenset({"executions", "inbox"})
ONE = frozenset({"execution"})
ACTIVE = frozenset({"running", "waiting"})
DEAD = "dead"
"""The status of a dead letter."""
FAILED = frozenset({"faulted", "cancelled", "quarantined"})


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
    """The footer shows commands with a number, in that order."""

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
    Command(id="save", group="list", views=FILTERED | {"sql"}, argument=True),
    Command(id="filters", group="list", views=FILTERED),
    Command(id="forget", group="list", views=FILTERED | {"sql"}, argument=True),
    # moving
    Command(id="up", keys=("up", "k"), group="move"),
    Command(id="down", keys=("down", "j"), group="move"),
    Command(id="page_up", keys=("pageup", "ctrl+u"), group="move"),
    Command(id="page_down", keys=("pagedown", "ctrl+f"), group="move"),
    Command(id="top", keys=("home", "g"), group="move"),
    Command(id="bottom", keys=("end", "G"), group="move"),
    Command(id="open", keys=("enter",), group="move", views=LISTS | ONE, hint=10),
    Command(id="fold", keys=("left", "h"), group="move", views=ONE),
    Command(id="unfold", keys=("right", "l"), group="move", views=ONE),
    # lists
    Command(id="mark", keys=("x",), group="list", views=LISTS | ONE),
    Command(id="mark_to", keys=("X",), group="list", views=LISTS),
    Command(id="sort", keys=("s",), group="list", views=RUNS, hint=40),
    Command(id="columns", keys=("o",), group="list", views=LISTS),
    Command(id="follow", keys=("f",), group="list", views=RUNS | {"events", "logs"}, hint=50),
    Command(id="pause", keys=("space",), group="list", views=RUNS | {"events", "logs"}, hint=51),
    # executions
    Command(id="why", keys=("w",), group="execution", views=_RUN, kind="execution", hint=30),
    Command(id="json", keys=("y",), group="execution", views=LISTS | ONE, kind="any"),
    Command(id="events", keys=("e",), group="execution", views=_RUN, kind="execution"),
    Command(
        id="suspend",
        keys=("p",),
        group="act",
        views=_RUN,
        kind="execution",
        changes=True,
        statuses=ACTIVE,
        hint=60,
    ),
    Command(
        id="resume",
        keys=("u",),
        group="act",
        views=_RUN,
        kind="execution",
        changes=True,
        statuses=frozenset({"suspended"}),
    ),
    Command(
        id="cancel",
        keys=("ctrl+d",),
        group="act",
        views=_RUN,
        kind="execution",
        changes=True,
        danger=True,
        statuses=ACTIVE | {"suspended"},
        hint=61,
    ),
    Command(
        id="delete",
        keys=("D",),
        group="act",
        views=_RUN,
        kind="execution letter",
        changes=True,
        danger=True,
        statuses=ENDED | {DEAD},
    ),
    Command(
        id="retry",
        keys=("R",),
        group="act",
        views=_RUN,
        kind="execution letter",
        changes=True,
        statuses=FAILED | {DEAD},
    ),
    Command(
        id="retry_edited",
        keys=("ctrl+e",),
        group="act",
        views=_RUN,
        kind="execution letter",
        changes=True,
        statuses=FAILED | {DEAD},
    ),
    Command(id="fork", keys=("F",), group="act", views=_RUN, kind="execution", changes=True),
    Command(
        id="rewind",
        keys=("B",),
        group="act",
        views=ONE,
        kind="execution",
        changes=True,
        danger=True,
        statuses=ENDED | {"suspended"},
    ),
    Command(
        id="answer",
        keys=("A",),
        group="act",
        views=_RUN,
        kind="execution",
        changes=True,
        statuses=frozenset({"waiting"}),
    ),
    Command(
        id="start",
        keys=("n",),
        group="act",
        views=_RUN | {"workflows"},
        kind="any",
        changes=True,
        hint=62,
    ),
    Command(id="emit", keys=("E",), group="act", changes=True),
    Command(id="copy", keys=("c",), group="act", views=LISTS | ONE, kind="any", hint=70),
    Command(id="export", keys=("S",), group="act", views=_RUN, kind="execution", changes=True),
    # one execution
    Command(id="event_back", keys=("comma",), group="scrub", views=ONE, hint=31),
    Command(id="event_on", keys=("full_stop",), group="scrub", views=ONE, hint=32),
    Command(id="many_back", keys=("less_than_sign",), group="scrub", views=ONE),
    Command(id="many_on", keys=("greater_than_sign",), group="scrub", views=ONE),
    Command(id="first_event", keys=("0",), group="scrub", views=ONE),
    Command(id="last_event", keys=("dollar_sign",), group="scrub", views=ONE),
    Command(id="play", keys=("P",), group="scrub", views=ONE),
    Command(id="next_failure", keys=("exclamation_mark",), group="scrub", views=ONE, hint=33),
    Command(id="next_pane", keys=("v",), group="scrub", views=ONE, hint=34),
    Command(id="diff", keys=("d",), group="scrub", views=ONE, hint=35),
    Command(id="source", keys=("L",), group="scrub", views=ONE | {"workflows"}),
    Command(id="find_next", keys=("N",), group="scrub", views=ONE),
    Command(id="level", keys=("v",), group="list", views=frozenset({"logs"}), hint=45),
    # queries
    Command(id="run", keys=("ctrl+r", "f5"), group="query", views=frozenset({"sql"}), hint=11),
    Command(id="queries", keys=("ctrl+o",), group="query", views=frozenset({"sql"}), hint=12),
    Command(id="plot", keys=("b",), group="query", views=frozenset({"sql"}), hint=13),
    Command(id="edit", keys=("i",), group="query", views=frozenset({"sql"}), hint=14),
    # schedules
    Command(
        id="trigger",
        keys=("F",),
        group="act",
        views=frozenset({"schedules"}),
        kind="schedule",
        changes=True,
        hint=60,
    ),
    Command(
        id="pause_schedule",
        keys=("p",),
        group="act",
        views=frozenset({"schedules"}),
        kind="schedule",
        changes=True,
        statuses=frozenset({"active"}),
        hint=61,
    ),
    Command(
        id="resume_schedule",
        keys=("u",),
        group="act",
        views=frozenset({"schedules"}),
        kind="schedule",
        changes=True,
        statuses=frozenset({"paused"}),
        hint=62,
    ),
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
