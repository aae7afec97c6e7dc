"""``flunq tui``: watch and steer everything from one screen."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flunq.cli import output, text
from flunq.cli.exits import ExitCode
from flunq.cli.session import current, settings
from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flunq.client import Client
    from flunq.config import Loaded
    from flunq_tui.app import Options
    from flunq_tui.source import Source


def command(
    first: Annotated[
        str | None,
        typer.Argument(
            metavar="[COMMAND]", help="A view, a command or an id, as after ':' in the monitor."
        ),
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="On a private, busy cluster; in a pipe: as lines.")
    ] = False,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", metavar="EXPORT", help="Look at exported executions; repeatable."),
    ] = None,
    web: Annotated[
        bool, typer.Option("--web", help="In a browser on this machine, behind a token.")
    ] = False,
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", help="Port of --web; 0 for a free one.")
    ] = 0,
    theme: Annotated[
        str | None, typer.Option("--theme", metavar="NAME", help="Colours; T chooses in it.")
    ] = None,
    language: Annotated[
        str | None,
        typer.Option("--language", metavar="en|de", help="Language [env: FLUNQ_LANGUAGE, LANG]."),
    ] = None,
    mouse: Annotated[
        bool, typer.Option("--mouse/--no-mouse", help="Use the mouse [yes].", show_default=False)
    ] = True,
    keys: Annotated[bool, typer.Option("--keys", help="List the commands and their keys.")] = False,
) -> int:
    """Watch executions as they happen, rewind them, act on them.

    $ flunq tui --demo

    $ flunq tui order-123

    $ flunq tui --file order-123.flunq.gz

    Press ? for everything that is possible. Other keys go into keys.toml beside the user's
    configuration, a line each: cancel = "ctrl+x".
    """
    if keys:
        return _list_keys(language)
    if demo and file:
        raise UsageError("--demo and --file are two things to look at: choose one")
    _normalise_environment()
    if web:
        return _serve(port, demo=demo, files=file or [], first=first)
    if demo and not _may_draw():
        return _demo_as_lines()
    if not _may_draw():
        raise UsageError("flunq tui needs a terminal", hint="flunq tail -o jsonl is for pipes")
    if demo:
        return _demo(lambda: _options(first, theme, language), mouse=mouse)
    return _run(_source(file), _options(first, theme, language), mouse=mouse)


def _may_draw() -> bool:
    """Tell whether there is a terminal, or a browser behind the pipes."""
    if "TEXTUAL_DRIVER" in os.environ:
        return True
    return text.is_terminal(sys.stdout) and text.is_terminal(sys.stdin)


def _normalise_environment() -> None:
    """An empty NO_COLOR is none; Textual would take it for a yes."""
    if os.environ.get("NO_COLOR") == "":
        del os.environ["NO_COLOR"]


def _options(first: str | None, theme: str | None, language: str | None) -> Options:
    from flunq_tui.app import Options, keys_file, state_file
    from flunq_tui.keys import load_keymap
    from flunq_tui.memory import Memory
    from flunq_tui.messages import preferred_language

    return Options(
        keymap=load_keymap(keys_file()),
        language=language or preferred_language(),
        theme=_theme(theme),
        first=first or "",
        memory=Memory(state_file()),
    )


def _theme(named: str | None) -> str:
    if named is None:
        return "ansi-dark" if os.environ.get("NO_COLOR") else ""
    from textual.theme import BUILTIN_THEMES

    if named not in BUILTIN_THEMES:
        raise UsageError(f"there is no theme {named!r}", hint=f"one of {', '.join(BUILTIN_THEMES)}")
    return named


def _source(files: list[Path] | None) -> Source:
    if files:
        from flunq_tui.recorded import from_files

        return from_files(files)
    return _cluster()


def _cluster() -> Source:
    from contextlib import asynccontextmanager

    from flunq_tui.launch import live_source

    loaded = settings()
    if loaded.settings.nats_url is None:
        from flunq.client.connecting import find_target

        find_target(loaded)  # says what is missing

    @asynccontextmanager
    async def connected() -> AsyncIterator[Client]:
        from flunq.client import connect  # the first screen need not wait for it

        async with connect(loaded) as client:
            yield client

    context = loaded.context
    return live_source(
        connected,
        name=context.name if context is not None else "",
        address=_without_password(loaded.settings.nats_url or ""),
        tenant=loaded.settings.tenant,
        data=_data_folder(loaded),
        production=bool(context and context.production),
    )


def _without_password(url: str) -> str:
    """Return an address that may be seen by whoever looks over a shoulder."""
    return ",".join(each.rpartition("@")[2] for each in url.split(","))


def _data_folder(loaded: Loaded) -> Path | None:
    """Return the data folder if the cluster is on this machine."""
    context = loaded.context
    if context is not None and context.data_dir is not None:
        return Path(context.data_dir)
    return Path(loaded.settings.data) if loaded.origins["data"].source == "flag" else None


def _demo_as_lines() -> int:
    """Without a terminal the demonstration prints its events and ends."""
    from flunq.cli.cluster_demo import run_demo
    from flunq.services.supervising.options import ClusterOptions

    return run_demo(ClusterOptions(data=Path(), context=None), temporary=True, may_stay=False)


def _demo(options: Callable[[], Options], *, mouse: bool) -> int:
    from flunq_tui.demo.cluster import DemoCluster

    with DemoCluster() as cluster:
        # The cluster starts while the monitor is imported.
        from flunq_tui.launch import live_source

        source = live_source(
            cluster.connect, name="demo", address="", tenant="default", data=cluster.folder
        )
        return _run(source, options(), mouse=mouse)


def _run(source: Source, options: Options, *, mouse: bool) -> int:
    from flunq.cli.engine import keep_logs_away
    from flunq_tui.launch import run

    keep_logs_away()
    return run(source, options, mouse=mouse)


def _serve(port: int, *, demo: bool, files: list[Path], first: str | None) -> int:
    from flunq_tui.web import serve

    arguments = ["tui", *(["--demo"] if demo else [])]
    for each in files:
        arguments += ["--file", str(each.absolute())]
    session = current()
    for name, value in (("--context", session.context), ("--tenant", session.tenant)):
        arguments += [name, value] if value else []
    arguments += [first] if first else []
    return serve(arguments, port, announce=output.emit_text)


def _list_keys(language: str | None) -> int:
    from flunq_tui.actions import COMMANDS
    from flunq_tui.app import keys_file
    from flunq_tui.keys import load_keymap, shown_key
    from flunq_tui.messages import Catalog, preferred_language

    say, keymap = Catalog(language or preferred_language()), load_keymap(keys_file())
    rows = [
        {
            "command": each.id,
            "keys": " ".join(shown_key(key) for key in keymap.keys_of(each.id)),
            "what": say(f"help.{each.id}"),
        }
        for each in COMMANDS
    ]
    output.emit(rows)
    return ExitCode.DONE
