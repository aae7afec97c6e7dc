"""What is wrong with a document, and where.

A :class:`Problem` names the exact value by JSON pointer and by line and column (both from 1), the
rule that it breaks and, where there is one, the next thing to do. All readers of this package
raise :class:`InvalidDocument` with the complete list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from flunq.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One broken rule at one place of a document."""

    path: str
    """JSON pointer to the value, ``""`` for the whole document."""
    line: int
    column: int
    message: str
    rule: str
    """Stable kebab-case id of the rule."""
    hint: str | None = None

    def to_json(self) -> dict[str, str | int | None]:
        """Return the members that ``-o json`` shows."""
        return msgspec.structs.asdict(self)

    def text(self, file: str) -> str:
        """Return ``file:line:column: message [rule]``, the form editors understand."""
        return f"{file}:{self.line}:{self.column}: {self.message} [{self.rule}]"


class InvalidDocument(RejectedError):  # noqa: N818 - named for what the caller holds: a document
    """A document breaks one rule or more; ``problems`` has all of them in the order of the text."""

    code, title = "invalid-document", "The document is not valid"
    problems: tuple[Problem, ...]
    shown: ClassVar[int] = 3

    def __init__(self, problems: Iterable[Problem], *, name: str) -> None:
        self.problems = in_text_order(problems)
        self.name = name
        lines = [problem.text(name) for problem in self.problems[: self.shown]]
        if len(self.problems) > self.shown:
            lines.append(f"... and {len(self.problems) - self.shown} more")
        hint = next((problem.hint for problem in self.problems if problem.hint), None)
        errors = [problem.to_json() for problem in self.problems]
        super().__init__("\n".join(lines), hint=hint, errors=errors)


def quoted(text: str, limit: int = 40) -> str:
    """Return a short, harmless form of a text for a message: no control or bidi characters."""
    cut = text if len(text) <= limit else f"{text[: limit - 3]}..."
    return "'" + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut) + "'"


def in_text_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort by position and drop what is said twice."""
    unique = {(p.line, p.column, p.path, p.rule, p.message): p for p in problems}
    return tuple(unique[key] for key in sorted(unique))
