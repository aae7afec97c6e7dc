"""Commands and groups of flunq on top of Typer: lazy, with global options everywhere."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer import main as typer_main
from typer._click.shell_completion import CompletionItem
from typer.core import TyperCommand, TyperGroup

from flunq.cli import global_options, help_format
from flunq.cli.suggest import did_you_mean
from flunq.cli.table import COMMANDS, Entry
from flunq.errors import UsageError

if TYPE_CHECKING:
    from typer._click.core import Command, Context
    from typer._click.formatting import HelpFormatter

_WHOLE = 1000
"""Longer than the first sentence of any help: nothing is cut off."""
CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class FlunqCommand(TyperCommand):
    """A command that has the global options; its function may be a coroutine function."""

    def __init__(self, name: str | None, **attributes: Any) -> None:
        _add_global_options(attributes)
        super().__init__(name, **attributes)

    def invoke(self, ctx: Context) -> Any:
        """Run the command, in an event loop when it is asynchronous."""
        result = super().invoke(ctx)
        if not inspect.iscoroutine(result):
            return result
        from flunq.cli.running import run_async  # asyncio, for commands that need it

        return run_async(result)

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        """Name the arguments as the list of arguments does, without Typer's braces."""
        pieces = super().collect_usage_pieces(ctx)
        return [piece[1:-1] if piece.startswith("{") else piece for piece in pieces]

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the example first."""
        help_format.write_help(self, ctx, formatter)

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the options under their headings."""
        help_format.write_options(self, ctx, formatter)


class FlunqGroup(TyperGroup):
    """A command with commands of its own, such as ``flunq context``."""

    def __init__(self, **attributes: Any) -> None:
        _add_global_options(attributes)
        super().__init__(**attributes)

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        """Find the command, or say which one was probably meant."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and not name.startswith("-") and not ctx.resilient_parsing:
            hint = did_you_mean(name, self.list_commands(ctx)) or f"{ctx.command_path} --help"
            raise UsageError(f"no such command: {name}", hint=hint)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the example first."""
        help_format.write_help(self, ctx, formatter)

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the commands, each with the whole of its first sentence."""
        names = self.list_commands(ctx)
        known = [(name, command) for name in names if (command := self.get_command(ctx, name))]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(_WHOLE)) for name, command in known]
            )

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the commands before the options."""
        self.format_commands(ctx, formatter)
        help_format.write_options(self, ctx, formatter)


class RootGroup(FlunqGroup):
    """``flunq`` itself: its commands are imported when they are used, never to be listed."""

    def list_commands(self, ctx: Context) -> list[str]:
        """Name the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """Import a command."""
        entry = COMMANDS.get(cmd_name)
        return load(cmd_name, entry) if entry else None

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the table under its headings."""
        for heading in dict.fromkeys(entry.heading for entry in COMMANDS.values()):
            with formatter.section(heading):
                formatter.write_dl(
                    [(name, e.help) for name, e in COMMANDS.items() if e.heading == heading]
                )

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names of the table."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=entry.help)
            for name, entry in COMMANDS.items()
            if name.startswith(incomplete)
        ]


def root() -> RootGroup:
    """Return the ``flunq`` command."""
    return RootGroup(
        name="flunq",
        help="Durable workflows in your terminal.\n\n$ flunq up\n$ flunq run examples/hello.yaml",
        epilog="Topics: flunq help environment|exit-codes|output|expressions",
        params=list(global_options.root_only()),
        context_settings=CONTEXT_SETTINGS,
        no_args_is_help=True,
        rich_markup_mode=None,
    )


def load(name: str, entry: Entry) -> Command:
    """Import a command's module and turn its ``app`` or ``command`` into a command."""
    try:
        module = import_module(entry.module)
    except ModuleNotFoundError as error:
        if error.name != entry.module:
            raise
        raise UsageError(f"flunq {name} is not part of this installation") from None
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer()
        app.command(name)(module.command)
    _prepare(app)
    command = typer_main.get_command(app)
    command.short_help = entry.help
    return command


def _prepare(app: typer.Typer) -> None:
    """Make an ordinary Typer application one of ours."""
    app.rich_markup_mode = None
    app._add_completion = False
    app.info.cls = FlunqGroup
    app.info.no_args_is_help = True
    app.info.context_settings = CONTEXT_SETTINGS
    for command in app.registered_commands:
        command.cls = FlunqCommand
        command.context_settings = CONTEXT_SETTINGS
    for group in app.registered_groups:
        if group.typer_instance:
            _prepare(group.typer_instance)


def _add_global_options(attributes: dict[str, Any]) -> None:
    params = list(attributes.get("params") or ())
    attributes["params"] = [*params, *global_options.missing_from(params)]
