"""Free values: constants with expressions inside."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from flunq.core.expressions.engine import EMPTY, Answers
from flunq.core.expressions.errors import BeyondTier0, ExpressionError, ExpressionSyntaxError
from flunq.core.expressions.program import Expression, compile_expression, compile_runtime
from flunq.core.expressions.syntax import OPENING, Source, enclosed, segments
from flunq.core.expressions.values import to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flunq.core.json import JSON


class LooseText(str):
    """A text that is tried as an expression, whether or not it is enclosed in ``${ }``."""

    __slots__ = ()


class Template:
    """A compiled free value; immutable and shared."""

    __slots__ = ("is_constant", "variables")

    def __init__(self, variables: frozenset[str], *, is_constant: bool = False) -> None:
        self.is_constant = is_constant
        self.variables = variables

    def evaluate(
        self, input: JSON, variables: Mapping[str, JSON], answers: Answers = EMPTY
    ) -> JSON:
        """Return the value with its expressions evaluated; constants are shared, not copied."""
        raise TypeError("evaluate a template made by compile_template")


class _Constant(Template):
    __slots__ = ("_value",)

    def __init__(self, value: JSON) -> None:
        super().__init__(frozenset(), is_constant=True)
        self._value = value

    def evaluate(
        self, input: JSON, variables: Mapping[str, JSON], answers: Answers = EMPTY
    ) -> JSON:
        return self._value


class _Whole(Template):
    __slots__ = ("_expression",)

    def __init__(self, expression: Expression) -> None:
        super().__init__(expression.variables)
        self._expression = expression

    def evaluate(
        self, input: JSON, variables: Mapping[str, JSON], answers: Answers = EMPTY
    ) -> JSON:
        return self._expression.evaluate(input, variables, answers)


class _Loose(Template):
    """An expression, or the text itself if it cannot be evaluated."""

    __slots__ = ("_expression", "_text")

    def __init__(self, expression: Expression, text: str) -> None:
        super().__init__(expression.variables)
        self._expression = expression
        self._text = text

    def evaluate(
        self, input: JSON, variables: Mapping[str, JSON], answers: Answers = EMPTY
    ) -> JSON:
        try:
            return self._expression.evaluate(input, variables, answers)
        except ExpressionError:
            return self._text


class _Mixed(Template):
    __slots__ = ("_pieces",)

    def __init__(self, pieces: tuple[str | Expression, ...]) -> None:
        parts = [piece.variables for piece in pieces if isinstance(piece, Expression)]
        super().__init__(frozenset().union(*parts))
        self._pieces = pieces

    def evaluate(
        self, input: JSON, variables: Mapping[str, JSON], answers: Answers = EMPTY
    ) -> JSON:
        return "".join(
            piece
            if isinstance(piece, str)
            else text_of(piece.evaluate(input, variables, answers), answers)
            for piece in self._pieces
        )


class _Object(Template):
    __slots__ = ("_members",)

    def __init__(self, members: dict[str, Template]) -> None:
        super().__init__(_union(members.values()))
        self._members = tuple(members.items())

    def evaluate(
        self, input: JSON, variables: Mapping[str, JSON], answers: Answers = EMPTY
    ) -> JSON:
        return {name: member.evaluate(input, variables, answers) for name, member in self._members}


class _Array(Template):
    __slots__ = ("_items",)

    def __init__(self, items: tuple[Template, ...]) -> None:
        super().__init__(_union(items))
        self._items = items

    def evaluate(
        self, input: JSON, variables: Mapping[str, JSON], answers: Answers = EMPTY
    ) -> JSON:
        return [item.evaluate(input, variables, answers) for item in self._items]


def text_of(value: JSON, answers: Answers) -> str:
    """Return a value as it stands inside a text; the engine writes numbers as only jq does.

    Raises like the evaluation of an expression.
    """
    try:
        return to_text(value)
    except (BeyondTier0, RecursionError):
        return str(compile_expression("tostring").evaluate(value, {}, answers))


def _union(templates: Iterable[Template]) -> frozenset[str]:
    return frozenset(name for template in templates for name in template.variables)


@lru_cache(maxsize=8192)
def _compile_text(text: str) -> Template:
    if OPENING not in text:
        return _Constant(text)
    if enclosed(text) is not None:
        return _Whole(compile_runtime(text))
    return _embedded(text)


def _plain(value: JSON) -> JSON:
    """Return a constant without texts that were only marked as loose."""
    if isinstance(value, dict):
        members = {name: _plain(member) for name, member in value.items()}
        return value if all(members[name] is value[name] for name in value) else members
    if isinstance(value, list):
        items = [_plain(item) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else items
    return str(value) if type(value) is LooseText else value


def _loosely(text: str) -> Template:
    try:
        return _Loose(compile_runtime(text), text)
    except ExpressionSyntaxError:
        return _Constant(text) if enclosed(text) is not None else _compile_text(text)


def _embedded(text: str) -> Template:
    """Compile a text with expressions in it; one that does not compile is plain text.

    A shell script or another template language may use the same signs, and the language
    promises expressions only for whole strings.
    """
    pieces: list[str | Expression] = []
    found = False
    for piece in segments(text):
        if isinstance(piece, Source):
            try:
                pieces.append(compile_runtime(piece.text))
            except ExpressionSyntaxError:
                return _Constant(text)
            found = True
        else:
            pieces.append(piece)
    return _Mixed(tuple(pieces)) if found else _Constant(text)


def compile_template(value: JSON) -> Template:
    """Compile a free value, or raise ExpressionSyntaxError."""
    if isinstance(value, str):
        return _loosely(str(value)) if type(value) is LooseText else _compile_text(value)
    if isinstance(value, dict):
        members = {name: compile_template(member) for name, member in value.items()}
        if all(member.is_constant for member in members.values()):
            return _Constant(_plain(value))
        return _Object(members)
    if isinstance(value, list):
        items = tuple(compile_template(item) for item in value)
        if all(item.is_constant for item in items):
            return _Constant(_plain(value))
        return _Array(items)
    return _Constant(value)
