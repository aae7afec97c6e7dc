"""Write what is made from code: schemas, docs/cli.md, docs/conformance.md, docs/openapi.json.

Usage: python scripts/generate.py [--check]   (--check only tells what is stale, exit code 1)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from typer._click.core import Context
from typer.core import TyperGroup

from flunq.cli.group import root
from flunq.cli.table import COMMANDS
from flunq.cli.topics import TOPICS
from flunq.config import json_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer._click.core import Command

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 100


def config_schema() -> str:
    """Return the content of schemas/config.json."""
    schema = json_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def cli_reference() -> str:
    """Return the content of docs/cli.md."""
    group = root()
    context = Context(group, info_name="flunq", terminal_width=WIDTH, color=False)
    parts = ["# Commands", "", "Made by `just generate` from the program itself.", ""]
    for heading in dict.fromkeys(entry.heading for entry in COMMANDS.values()):
        parts += [f"## {heading}", ""]
        for name, entry in COMMANDS.items():
            if entry.heading == heading:
                parts += _sections(group.get_command(context, name), context, name)
    for topic, text in TOPICS.items():
        parts += [f"## Topic: {topic}", "", "```text", text().rstrip(), "```", ""]
    return "\n".join(parts).rstrip() + "\n"


def _sections(command: Command | None, parent: Context, name: str) -> Iterator[str]:
    if command is None:
        return
    context = Context(command, info_name=name, parent=parent, terminal_width=WIDTH)
    yield from (f"### {context.command_path}", "", "```text", command.get_help(context), "```", "")
    if isinstance(command, TyperGroup):
        for child in command.list_commands(context):
            yield from _sections(command.get_command(context, child), context, child)


def conformance_page() -> str:
    """Return the content of docs/conformance.md."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from tests.conformance.table import conformance_page as page

    return page()


def openapi_document() -> str:
    """Return the content of docs/openapi.json."""
    from flunq.api.openapi import document_bytes

    return document_bytes().decode()


MADE = {
    "schemas/config.json": config_schema,
    "docs/cli.md": cli_reference,
    "docs/conformance.md": conformance_page,
    "docs/openapi.json": openapi_document,
}


def main(check: bool) -> int:
    """Write the files, or say which are stale."""
    stale = False
    for name, make in MADE.items():
        path, wanted = ROOT / name, make()
        if path.is_file() and path.read_text(encoding="utf-8") == wanted:
            continue
        stale = True
        if check:
            print(f"{name} is stale; run: just generate")
        else:
            path.write_text(wanted, encoding="utf-8")
            print(f"wrote {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
