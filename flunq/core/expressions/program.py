"""Compiled expressions: the pure tier first, the expression engine for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from flunq.core.expressions.compiler import compile_tree
from flunq.core.expressions.engine import EMPTY, Answers, Need
from flunq.core.expressions.errors import (
    BeyondTier0,
    ExpressionError,
    ExpressionSyntaxError,
    NeedsEvaluation,
)
from flunq.core.expressions.parser import parse
from flunq.core.expressions.scope import resolve
from flunq.core.expressions.secrets import SECRETS, secret_problems, with_variables
from flunq.core.expressions.syntax import runtime_source
from flunq.core.markers import VARIABLE, MarkerError, unfold

if TYPE_CHECKING:
    from flunq.core.json import JSON

Fast: TypeAlias = Callable[[Any, Mapping[str, Any]], Any]

_encode = msgspec.json.Encoder().encode


class Expression:
    """A compiled expression; immutable and shared."""

    __slots__ = ("fast", "reads_input", "text", "variables")

    def __init__(
        self, text: str, fast: Fast | None, variables: frozenset[str], reads_input: bool
    ) -> None:
        self.text = text
        self.fast = fast
        """The pure evaluation, None when only the engine can evaluate the text."""
        self.variables = variables
        """Free variables, without the dollar."""
        self.reads_input = reads_input

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def evaluate(
        self, input: JSON, variables: Mapping[str, JSON], answers: Answers = EMPTY
    ) -> JSON:
        """Return the first result, null when there is none.

        Raises ExpressionError when the evaluation fails, NeedsEvaluation when the pure
        tier cannot do it and ``answers`` does not hold its result.
        """
        fast = self.fast
        if fast is not None:
            try:
                return fast(input, variables)  # type: ignore[no-any-return]
            except (BeyondTier0, RecursionError, OverflowError, MemoryError):
                pass  # the engine has its own limits and the last word
            except KeyError:
                self._require(variables)
                raise
        return self._answered(input, variables, answers)

    def _require(self, variables: Mapping[str, JSON]) -> None:
        missing = self.variables.difference(variables)
        if missing:
            raise ExpressionError(f"${min(missing)} is not defined")

    def _answered(self, input: JSON, variables: Mapping[str, JSON], answers: Answers) -> JSON:
        self._require(variables)
        need = self.need(input, variables)
        answer = answers.get(need.key)
        if answer is None:
            raise NeedsEvaluation(need)
        if answer.error is not None:
            raise ExpressionError(answer.error)
        return answer.value

    def need(self, input: JSON, variables: Mapping[str, JSON]) -> Need:
        """Return what the engine has to evaluate."""
        seen = input if self.reads_input else None
        referenced = {name: variables[name] for name in sorted(self.variables)}
        if any(name.startswith(VARIABLE) for name in referenced):
            referenced = _with_secrets(referenced)
        digest = blake2b(self.text.encode("utf-8", "surrogatepass"), digest_size=16)
        try:
            digest.update(b"\0" + _encode((seen, referenced)))
        except (UnicodeEncodeError, RecursionError) as error:
            raise ExpressionError(f"the values cannot be written as JSON: {error}") from error
        return Need(key=digest.hexdigest(), program=self.text, input=seen, variables=referenced)


@lru_cache(maxsize=8192)
def compile_expression(text: str) -> Expression:
    """Compile a bare expression, or raise ExpressionSyntaxError."""
    tree = parse(text)
    names = resolve(tree)
    problems = names.problems
    if SECRETS in names.variables and not problems:
        problems = tuple(secret_problems(tree))
        tree = with_variables(tree)
        names = resolve(tree)
    if problems:
        offset, message = problems[0]
        raise ExpressionSyntaxError(message, offset)
    return Expression(text, compile_tree(tree), names.variables, names.reads_input)


def _with_secrets(referenced: dict[str, Any]) -> dict[str, Any]:
    """Return the variables as the text of the program names them: one object of all secrets."""
    markers = {name: value for name, value in referenced.items() if name.startswith(VARIABLE)}
    others = {name: value for name, value in referenced.items() if name not in markers}
    try:
        return {**others, SECRETS: unfold(markers)}
    except MarkerError as error:
        raise ExpressionError(str(error)) from error


@lru_cache(maxsize=8192)
def compile_runtime(text: str) -> Expression:
    """Compile an expression field, written bare or enclosed in ``${ }``."""
    source = runtime_source(text)
    try:
        return compile_expression(source.text)
    except ExpressionSyntaxError as error:
        raise ExpressionSyntaxError(error.message, source.offset + error.offset) from None
