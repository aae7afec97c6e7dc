"""``flunq help``: help of a command or a topic."""

from __future__ import annotations

from typing import Annotated

import typer

from flunq.cli import output, topics
from flunq.cli.suggest import did_you_mean
from flunq.cli.table import COMMANDS
from flunq.errors import UsageError


def _complete(_incomplete: str = "") -> list[str]:
    return [*COMMANDS, *topics.TOPICS]


Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="[COMMAND|TOPIC]", help="What to explain.", autocompletion=_complete),
]


def command(ctx: typer.Context, words: Words = None) -> None:
    """Show help for a command or a topic.

    $ flunq help run

    $ flunq help exit-codes

    Topics: environment, exit-codes, output, expressions.
    """
    if words and words[0] in topics.TOPICS:
        output.emit_text(topics.TOPICS[words[0]]())
    else:
        _help_of_command(ctx, words or [])


def _help_of_command(ctx: typer.Context, words: list[str]) -> None:
    from typer.core import TyperGroup

    found = root = ctx.find_root()
    for word in words:
        group = found.command
        target = group.get_command(found, word) if isinstance(group, TyperGroup) else None
        if target is None:
            hint = did_you_mean(word, [*COMMANDS, *topics.TOPICS]) if found is root else None
            raise UsageError(f"there is no command or topic {word!r}", hint=hint or "flunq help")
        found = target.make_context(word, [], parent=found, resilient_parsing=True)
    output.emit_text(found.get_help())
