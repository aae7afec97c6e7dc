"""A fork whose branches need each other: which of them begin, and with what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.execution.state import Enter, Forking

if TYPE_CHECKING:
    from flunq.core.execution.state import Frame, State


def open_graph(
    state: State, step: int, frame: Frame, graph: list[dict[str, Any]], entry: tuple[int, int]
) -> None:
    """Let the branches begin that need nothing; they get the input of the fork.

    ``entry`` is the sequence of the event that holds that input, and the time.
    """
    source, now = entry
    frame.local = Forking(pending=len(graph), graph=graph)
    for branch in graph:
        if not branch["needs"]:
            state.ready.append(Enter(step, branch["task"], frame.effective_input, source, now))


def follow_graph(state: State, step: int, fork: Forking, done: int, now: int) -> None:
    """Let the branches begin that have waited for this one, with the outputs they need by name."""
    assert fork.graph is not None
    for branch in fork.graph:
        needs = branch["needs"]
        if done in needs and all(needed in fork.outputs for needed in needs):
            given = {_name(fork.graph[needed]["task"]): fork.outputs[needed] for needed in needs}
            state.ready.append(Enter(step, branch["task"], given, 0, now))


def _name(reference: str) -> str:
    return reference.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
