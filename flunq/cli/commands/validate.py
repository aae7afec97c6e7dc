"""``flunq validate``: check documents without running them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.cli import diagnostics, output, text
from flunq.cli.exits import ExitCode
from flunq.cli.options import FilesArgument, read_bytes
from flunq.cli.session import OutputFormat, current

if TYPE_CHECKING:
    from pathlib import Path

    from flunq.core.reading import Problem


def command(files: FilesArgument) -> ExitCode:
    """Check workflow documents without running them.

    $ flunq validate order.yaml

    $ flunq validate workflows/*.yaml -o json

    Every problem is one line, FILE:LINE:COLUMN: MESSAGE [RULE]. The exit code is 3 when a document
    is rejected.
    """
    contents = {path: read_bytes(path) for path in files}
    checked = [(path, _check(path, content)) for path, content in contents.items()]
    if current().output is OutputFormat.TABLE:
        for path, problems in checked:
            _show(path, problems)
    else:
        output.emit(_results(checked))
    for path, problems in checked:
        if not problems:
            _warn(path, contents[path])
    rejected = any(problems for _, problems in checked)
    return ExitCode.REJECTED if rejected else ExitCode.DONE


def verdict(problems: list[Problem]) -> dict[str, Any]:
    """Return what ``-o json`` prints for one document."""
    status = "rejected" if problems else "valid"
    return {"status": status, "errors": [problem.to_json() for problem in problems]}


def _check(path: Path, content: bytes) -> list[Problem]:
    from flunq.core.reading import check_document  # schemas are loaded only where needed

    return list(check_document(content, name=_name(path)))


def _warn(path: Path, content: bytes) -> None:
    from flunq.cli.unsupported import warn_unsupported
    from flunq.core.reading import read_document

    warn_unsupported(read_document(content, name=_name(path)))


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
