"""``flunq completion``: let the shell complete commands, options and names."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from flunq.cli import diagnostics, output
from flunq.cli.completion import VARIABLE, script

Shell = Literal["bash", "zsh", "fish", "powershell", "pwsh"]


def command(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.")],
    install: Annotated[
        bool, typer.Option("--install", help="Write it where the shell looks for it.")
    ] = False,
) -> None:
    """Print or install shell completion.

    $ source <(flunq completion bash)

    $ flunq completion zsh --install
    """
    if not install:
        output.emit_text(script(shell))
        return
    from typer._completion_shared import install as write

    _, path = write(shell=shell, prog_name="flunq", complete_var=VARIABLE)
    diagnostics.say(f"completion for {shell} written to {path}", "open a new terminal to use it")
