"""``flunq validate``: check documents without running them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import diagnostics, output, text
from flunq.cli.exits import ExitCode
from flunq.cli.options import FilesArgument, read_bytes
from flunq.cli.session import OutputFormat, current

if TYPE_CHECKING:
    from pathlib import Path

    from flunq.core.reading import Document, Problem


ResolveOption = Annotated[
    bool, typer.Option("--resolve", help="Fetch everything that the documents refer to.")
]


def command(files: FilesArgument, resolve: ResolveOption = False) -> ExitCode:
    """Check workflow documents without running them.

    $ flunq validate order.yaml

    $ flunq validate workflows/*.yaml -o json

    Every problem is one line, FILE:LINE:COLUMN: MESSAGE [RULE]. The exit code is 3 when a document
    is rejected. Schemas and functions in files beside a document are checked too; with --resolve
    also those of catalogs and the web, and a file for a call that is missing is a problem instead
    of a warning.
    """
    contents = {path: read_bytes(path) for path in files}
    checked = [(path, _check(path, content, resolve)) for path, content in contents.items()]
    if current().output is OutputFormat.TABLE:
        for path, problems in checked:
            _show(path, problems)
    else:
        output.emit(_results(checked))
    rejected = any(problems for _, problems in checked)
    return ExitCode.REJECTED if rejected else ExitCode.DONE


def verdict(problems: list[Problem]) -> dict[str, Any]:
    """Return what ``-o json`` prints for one document."""
    status = "rejected" if problems else "valid"
    return {"status": status, "errors": [problem.to_json() for problem in problems]}


def _check(path: Path, content: bytes, resolve: bool) -> list[Problem]:
    from flunq.core.reading import InvalidDocument, read_document  # loaded only where needed

    try:
        document = read_document(content, name=_name(path))
    except InvalidDocument as invalid:
        return list(invalid.problems)
    return _check_references(document, resolve)


def _check_references(document: Document, resolve: bool) -> list[Problem]:
    from flunq.cli.bundling import MISSING_FILE, reference_problems, refers

    if not refers(document):
        return []
    import asyncio

    problems = asyncio.run(reference_problems(document, remote=resolve))
    for problem in problems:
        if problem.rule == MISSING_FILE and not resolve:
            diagnostics.warn(text.neutralise(problem.text(document.source.name)))
    return [problem for problem in problems if problem.rule != MISSING_FILE or resolve]


def _results(checked: list[tuple[Path, list[Problem]]]) -> Any:
    if len(checked) == 1:
        return verdict(checked[0][1])
    return [{"file": _name(path), **verdict(problems)} for path, problems in checked]


def _show(path: Path, problems: list[Problem]) -> None:
    name = _name(path)
    if not problems:
        output.emit_text(f"{text.neutralise(name)}: valid")
    for problem in problems:
        output.emit_text(text.neutralise(problem.text(name)))
        if problem.hint:
            diagnostics.say(f"hint: {text.neutralise(problem.hint)}")


def _name(path: Path) -> str:
    return "<stdin>" if str(path) == "-" else str(path)
