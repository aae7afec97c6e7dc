"""``onErrors``: what becomes of the errors of a state.

A handler in the new language cannot jump out of its task, so it leaves the name of the state to go
to in the context, and a switch behind the task goes there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.converting.expressions import enclose, literal
from flunq.core.converting.failures import condition, matching
from flunq.core.converting.names import Names
from flunq.core.converting.workspace import Entry

if TYPE_CHECKING:
    from flunq.core.converting.findings import Node
    from flunq.core.converting.flow import Flow
    from flunq.core.converting.workspace import Work

_ROUTE = "afterError"


class Caught(msgspec.Struct, frozen=True, kw_only=True):
    """The error handling of one state."""

    name: str = ""
    """Name of the switch behind the state."""
    catch: dict[str, Any] = {}
    routes: tuple[str, ...] = ()
    """States to which an error leads."""
    tasks: tuple[Entry, ...] = ()
    """Tasks on the way there."""

    def router(self, directive: str) -> Entry:
        """Return the switch: to where an error leads, or on as usual."""
        names = Names()
        cases: list[Entry] = [
            {
                names.unique(route): {
                    "when": enclose(f"$context.{_ROUTE} == {literal(route)}"),
                    "then": route,
                }
            }
            for route in self.routes
        ]
        cases.append({names.unique("no error"): {"then": directive}})
        return {self.name: {"switch": cases, "export": {"as": enclose("{}")}}}


def caught(state: Node, work: Work, flow: Flow, name: str) -> Caught:
    """Convert the error handling of a state."""
    entries = state.objects("onErrors")
    if not entries:
        return Caught()
    handlers: list[Entry] = []
    routes: list[str] = []
    on_the_way: list[Entry] = []
    names = Names()
    for entry in entries:
        entry.only("errorRef", "errorRefs", "transition", "end")
        directive, tasks = flow.after(entry, f"{name}: error")
        handlers.append({names.unique(_called(entry)): _handler(directive)})
        routes += [] if directive == "end" else [directive]
        on_the_way += tasks
    references = [_references(entry) for entry in entries]
    catch = matching([reference for group in references for reference in group], work)
    return Caught(
        name=work.top.unique(f"{name}: after error") if routes else "",
        catch={**catch, "do": _chosen(references, handlers, names, work)},
        routes=tuple(dict.fromkeys(routes)),
        tasks=tuple(on_the_way),
    )


def _handler(directive: str) -> dict[str, Any]:
    if directive == "end":
        return {"set": enclose("."), "then": "end"}
    route = enclose(f"{{{_ROUTE}: {literal(directive)}}}")
    return {"set": enclose("."), "export": {"as": route}, "then": "exit"}


def _chosen(
    references: list[list[Node]], handlers: list[Entry], names: Names, work: Work
) -> list[Entry]:
    """Return the handlers, behind a switch where there are several."""
    if len(handlers) == 1:
        return handlers
    cases: list[Entry] = []
    for group, handler in zip(references, handlers, strict=True):
        name = next(iter(handler))
        when = enclose(condition(group, work, error="$error"))
        cases.append({name: {"when": when, "then": name}})
    return [{names.unique("which error"): {"switch": cases}}, *handlers]


def _references(entry: Node) -> list[Node]:
    one = entry.get("errorRef")
    found = [one] if one is not None and one.expect(str) else []
    return [*found, *entry.texts("errorRefs")]


def _called(entry: Node) -> str:
    references = _references(entry)
    return str(references[0].value) if references else "error"
