"""Compiles ``run`` tasks: what an executor is asked to run, and how its text is read.

The commands and scripts inside are programs of other languages that write ``${...}`` too. A
command keeps what a shell would understand (``${HOME}``, ``${1}``, ``${#list}``): an expression in
it begins with a space, a dot, a dollar or a quote. A script is taken as it is, unless all of it is
one expression.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flunq.core.document import policies
from flunq.core.document.model import Run, Unsupported
from flunq.core.expressions import ExpressionSyntaxError, compile_runtime
from flunq.core.expressions.lexer import find_closing_brace
from flunq.core.expressions.syntax import OPENING, enclosed
from flunq.core.expressions.template import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flunq.core.document.model import Program

KINDS = ("shell", "script", "container")
_PARAMETER = re.compile(r"[A-Za-z0-9_#@*?!]|[-$]\}")
"""What follows the brace of a shell's parameter expansion."""


def compile_run(
    definition: dict[str, Any],
    document: dict[str, Any],
    reference: str,
    authentications: dict[str, Any],
) -> tuple[str, Any]:
    """Return the handler's name and the compiled ``run``."""
    run = definition["run"]
    kind = next((kind for kind in KINDS if kind in run), None)
    if kind is None:
        named = ", ".join(name for name in run if name not in ("await", "return"))
        return "unsupported", Unsupported(detail=f"run: {named} is not supported by this version")
    awaited = run.get("await", True) is not False
    members: dict[str, Program] = {
        kind: _process(run[kind] or {}, authentications),
        "await": Text([awaited]),
        "return": Text([run.get("return", "stdout")]),
    }
    if kind == "container":
        members["of"] = Text([_origin(document, reference)])
    return "run", Run(executor=f"run:{kind}", arguments=Members(members), awaited=awaited)


def _process(process: dict[str, Any], authentications: dict[str, Any]) -> Program:
    if "source" in process:
        process = {**process, "source": _source(process["source"], authentications)}
    compiled = {name: policies.template(value) for name, value in process.items()}
    if isinstance(process.get("command"), str):
        compiled["command"] = command(process["command"])
    if isinstance(process.get("code"), str) and enclosed(process["code"]) is None:
        compiled["code"] = Text([process["code"]])
    return Members(compiled)


def _source(source: Any, authentications: dict[str, Any]) -> Any:
    """Put a reusable authentication policy in place of its name: executors see no document."""
    endpoint = source.get("endpoint") if isinstance(source, dict) else None
    used = endpoint.get("authentication") if isinstance(endpoint, dict) else None
    name = used.get("use") if isinstance(used, dict) else None
    if not (isinstance(endpoint, dict) and isinstance(name, str) and name in authentications):
        return source
    return {**source, "endpoint": {**endpoint, "authentication": authentications[name]}}


def _origin(document: dict[str, Any], reference: str) -> dict[str, str]:
    """Name what a container belongs to, for those who look at it."""
    return {
        "namespace": str(document["namespace"]),
        "workflow": str(document["name"]),
        "task": reference.rpartition("/")[2].replace("~1", "/").replace("~0", "~"),
    }


def command(text: str) -> Program:
    """Compile the text of a command: expressions inside, the shell's own parameters untouched."""
    if enclosed(text) is not None and not _PARAMETER.match(text.lstrip(), len(OPENING)):
        return policies.template(text)
    pieces: list[Any] = []
    done = 0
    start = text.find(OPENING)
    while start >= 0:
        inner = start + len(OPENING)
        brace = None if _PARAMETER.match(text, inner) else find_closing_brace(text, inner)
        program = None if brace is None else _expression(text[start : brace + 1])
        if brace is not None and program is not None:
            pieces += [text[done:start], program]
            done = inner = brace + 1
        start = text.find(OPENING, inner)
    return Text([*pieces, text[done:]])


def _expression(text: str) -> Program | None:
    try:
        return compile_runtime(text)
    except ExpressionSyntaxError:
        return None


class Text:
    """Constants and programs in a row, joined as text; a constant alone is itself."""

    __slots__ = ("_pieces", "variables")

    def __init__(self, pieces: list[Any]) -> None:
        self._pieces: tuple[Any, ...] = tuple(piece for piece in pieces if piece != "") or ("",)
        programs = [piece for piece in self._pieces if hasattr(piece, "evaluate")]
        self.variables: frozenset[str] = _union(programs)

    def evaluate(self, input: Any, variables: Mapping[str, Any], answers: Any) -> Any:
        """Return the text."""
        values: list[Any] = [
            piece.evaluate(input, variables, answers) if hasattr(piece, "evaluate") else piece
            for piece in self._pieces
        ]
        if len(values) == 1:
            return values[0]
        return "".join(text_of(value, answers) for value in values)


class Members:
    """An object whose members are programs."""

    __slots__ = ("_members", "variables")

    def __init__(self, members: dict[str, Program]) -> None:
        self._members = tuple(members.items())
        self.variables: frozenset[str] = _union(members.values())

    def evaluate(self, input: Any, variables: Mapping[str, Any], answers: Any) -> Any:
        """Return the object."""
        return {name: member.evaluate(input, variables, answers) for name, member in self._members}


def _union(programs: Any) -> frozenset[str]:
    return frozenset(name for program in programs for name in program.variables)
