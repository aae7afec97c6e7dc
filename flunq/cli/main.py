"""The entry point of the ``flunq`` command."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from flunq.cli import completion, diagnostics, global_options, output, session

if TYPE_CHECKING:
    from collections.abc import Sequence


def main() -> NoReturn:
    """Run ``flunq`` with the arguments of this process and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run ``flunq`` with some arguments and return its exit code."""
    session.begin()
    output.begin()
    global_options.scan(arguments)
    return diagnostics.run(lambda: _dispatch(list(arguments)))


def _dispatch(arguments: list[str]) -> object:
    from flunq.cli.group import root

    group = root()
    instruction = os.environ.get(completion.VARIABLE)
    if instruction:
        return completion.respond(group, instruction)
    with group.make_context("flunq", arguments) as ctx:
        return group.invoke(ctx)
