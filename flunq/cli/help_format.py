"""Help of a command: an example first, then usage, then the options under their headings.

Lines of a docstring that begin with ``$`` are its examples.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typer._click.core import Command, Context
    from typer._click.formatting import HelpFormatter

_FIRST = ("Arguments", "Options", "Input")
_LAST = ("Output", "Connection", "Common")
"""What every command has comes after what is its own."""


def write_help(command: Command, ctx: Context, formatter: HelpFormatter) -> None:
    """Write the whole help of a command."""
    examples, prose = split_docstring(command.help or "")
    if examples:
        with formatter.section("Example" if len(examples) == 1 else "Examples"):
            formatter.write("".join(f"  {line}\n" for line in examples))
        formatter.write_paragraph()
    command.format_usage(ctx, formatter)
    if prose:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(prose)
    command.format_options(ctx, formatter)
    command.format_epilog(ctx, formatter)


def split_docstring(docstring: str) -> tuple[list[str], str]:
    """Separate the examples of a docstring from its prose."""
    lines = inspect.cleandoc(docstring).splitlines()
    examples = [line.strip() for line in lines if line.strip().startswith("$ ")]
    prose = [line for line in lines if not line.strip().startswith("$ ")]
    return examples, "\n".join(prose).strip()


def write_options(command: Command, ctx: Context, formatter: HelpFormatter) -> None:
    """Write arguments and options, grouped by heading."""
    groups: dict[str, list[tuple[str, str]]] = {heading: [] for heading in _FIRST}
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is None:
            continue
        heading = getattr(param, "rich_help_panel", None)
        if param.param_type_name == "argument":
            heading = "Arguments"
        elif "--help" in param.opts:
            heading = "Common"
        groups.setdefault(heading or "Options", []).append(record)
    own = [heading for heading in groups if heading not in _LAST]
    for heading in (*own, *_LAST):
        if records := groups.get(heading):
            with formatter.section(heading):
                formatter.write_dl(records)
