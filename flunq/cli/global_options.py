"""The options that every command has, before or after its name, and what they do.

Commands do not declare these: the group adds them. Their values are in :mod:`flunq.cli.session`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from typer.core import TyperOption
from typer.exceptions import Exit

from flunq.cli import completion, output, session
from flunq.cli.session import ColorMode, OutputFormat, ProgressMode, TimeFormat
from flunq.cli.suggest import did_you_mean
from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from enum import StrEnum

    from typer._click.core import Context, Parameter

    Callback = Callable[[Context, Parameter, Any], Any]

Choice = TypeVar("Choice", bound="StrEnum")


def missing_from(params: Sequence[Parameter]) -> list[Parameter]:
    """Return the global options that a command has not declared itself."""
    taken = {name for param in params for name in param.opts}
    return [option for option in common() if not taken.intersection(option.opts)]


def common() -> list[TyperOption]:
    """Return the options that every command has."""
    return [
        _choice(["-o", "--output"], OutputFormat, "output", "Format of the data.", "Output"),
        TyperOption(
            param_decls=["--json"],
            is_flag=True,
            hidden=True,
            expose_value=False,
            callback=_json_alias,
        ),
        _choice(["--time"], TimeFormat, "time", "How tables show moments.", "Output"),
        _value(["-c", "--context"], "context", "The cluster to talk to.", completion.contexts),
        _value(["-t", "--tenant"], "tenant", "The tenant to act for.", completion.tenants),
        _flag(["-q", "--quiet"], "quiet", "Print data and errors only."),
        _flag(["-v", "--verbose"], "verbose", "Tell more on stderr."),
        _choice(["--color"], ColorMode, "color", "When to use colour.", "Common"),
        _choice(["--progress"], ProgressMode, "progress", "How to show progress.", "Common"),
        _flag(["--debug"], "debug", "Show the traceback of an error."),
    ]


def root_only() -> list[TyperOption]:
    """Return the options that only ``flunq`` itself has."""
    version = TyperOption(
        param_decls=["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_version,
        help="Print the version.",
        rich_help_panel="Common",
    )
    return [version]


def scan(arguments: Sequence[str]) -> None:
    """Read ``-o`` and ``--debug`` before anything is parsed, so that wrong usage obeys them."""
    words = list(arguments)
    if "--" in words:
        words = words[: words.index("--")]
    for word, following in pairwise([*words, ""]):
        if word == "--debug":
            session.update(debug=True)
        elif word == "--json":
            session.update(output=OutputFormat.JSON)
        elif (wanted := _output_value(word, following)) in list(OutputFormat):
            session.update(output=OutputFormat(wanted))


def parse_choice(name: str, value: str, choices: type[Choice]) -> Choice:
    """Return the member of ``choices`` that a word names."""
    try:
        return choices(value)
    except ValueError:
        known = [str(choice) for choice in choices]
        hint = did_you_mean(value, known) or f"one of {', '.join(known)}"
        raise UsageError(f"{value!r} is no value of {name}", hint=hint) from None


def _output_value(word: str, following: str) -> str:
    """Return what ``-o x``, ``-ox``, ``--output x`` or ``--output=x`` ask for."""
    if word in ("-o", "--output"):
        return following
    if word.startswith("--output="):
        return word.removeprefix("--output=")
    return word.removeprefix("-o") if word.startswith("-o") else ""


def _choice(
    names: list[str], choices: type[StrEnum], field: str, text: str, panel: str
) -> TyperOption:
    def callback(_ctx: Context, param: Parameter, value: str | None) -> None:
        if value is not None:
            session.update(**{field: parse_choice(param.opts[-1], value, choices)})

    def complete(_ctx: Context, _args: list[str], _incomplete: str) -> list[str]:
        return [str(choice) for choice in choices]

    return TyperOption(
        param_decls=names,
        metavar="|".join(choices),
        expose_value=False,
        callback=callback,
        autocompletion=complete,
        help=text,
        rich_help_panel=panel,
    )


def _value(
    names: list[str], field: str, text: str, complete: Callable[..., Any] | None = None
) -> TyperOption:
    def callback(_ctx: Context, _param: Parameter, value: str | None) -> None:
        if value is not None:
            session.update(**{field: value})

    return TyperOption(
        param_decls=names,
        metavar="NAME",
        expose_value=False,
        callback=callback,
        autocompletion=complete,
        help=f"{text} [env: FLUNQ_{field.upper()}]",
        rich_help_panel="Connection",
    )


def _flag(names: list[str], field: str, text: str) -> TyperOption:
    def callback(_ctx: Context, _param: Parameter, value: bool) -> None:
        if value:
            session.update(**{field: True})

    return TyperOption(
        param_decls=names,
        is_flag=True,
        expose_value=False,
        callback=callback,
        help=text,
        rich_help_panel="Common",
    )


def _json_alias(_ctx: Context, _param: Parameter, value: bool) -> None:
    if value:
        session.update(output=OutputFormat.JSON)


def _show_version(ctx: Context, _param: Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import version  # 10 ms that other commands need not pay

    installed = version("flunq")
    if session.current().output is OutputFormat.TABLE:
        output.emit_text(f"flunq {installed}")
    else:
        output.emit({"version": installed})
    raise Exit(0)
