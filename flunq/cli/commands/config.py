"""``flunq config``: the settings in force and where they come from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flunq.cli import output
from flunq.cli.session import OutputFormat, current, settings
from flunq.cli.tables import Column
from flunq.config import Loaded, Origin, json_schema

app = typer.Typer(help="Show settings and where each comes from.\n\n$ flunq config show --origin")


@app.command()
def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each comes from.")] = False,
) -> None:
    """Show the settings in force.

    $ flunq config show

    $ flunq config show --origin

    $ flunq config show --origin -o json
    """
    rows = _rows(settings())
    if current().output in (OutputFormat.JSON, OutputFormat.YAML) and not origin:
        output.emit({row["setting"]: row["value"] for row in rows})
        return
    columns = [Column("setting", whole=True), Column("value")]
    output.emit(rows, columns=[*columns, Column("origin")] if origin else columns)


@app.command()
def schema() -> None:
    """Print the JSON Schema of flunq.toml, for editors.

    $ flunq config schema > flunq.schema.json
    """
    output.emit(json_schema(), plain=output.json_text(json_schema()))


def _rows(loaded: Loaded) -> list[dict[str, Any]]:
    return [
        {
            "setting": name,
            "value": getattr(loaded.settings, name),
            "origin": _origin(loaded.origins[name]),
        }
        for name in loaded.settings.__struct_fields__
    ]


def _origin(origin: Origin) -> str:
    return f"{origin.source} {origin.where}" if origin.where else origin.source
