"""``flunq convert``: bring a Serverless Workflow 0.8 document to version 1.0."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import diagnostics, output, text
from flunq.cli.exits import ExitCode
from flunq.cli.options import FileArgument, read_bytes
from flunq.cli.session import current
from flunq.errors import RejectedError

if TYPE_CHECKING:
    from flunq.core.converting import Conversion

FileOption = Annotated[
    Path | None,
    typer.Option("--to", metavar="FILE", help="Write the document there; .json is JSON."),
]
NamespaceOption = Annotated[
    str,
    typer.Option("--namespace", metavar="NAME", help="Namespace of the new document."),
]


def command(
    file: FileArgument, to: FileOption = None, namespace: NamespaceOption = "default"
) -> ExitCode:
    """Convert a Serverless Workflow 0.8 document into version 1.0.

    $ flunq convert order-0.8.json > order.yaml

    $ flunq convert order-0.8.json --to order.yaml

    What has no counterpart is left out and listed on stderr, one line each:
    FILE:LINE:COLUMN: MESSAGE [RULE]. The exit code is then 3, and the document is still written;
    with -o json it is one object with the document and the problems.
    """
    name = "<stdin>" if str(file) == "-" else str(file)
    converted = _convert(file, name, namespace)
    if to is not None:
        _write(to, converted.document)
    if current().machine_readable:
        problems = [problem.to_json() for problem in converted.problems]
        output.emit({"document": converted.document, "problems": problems})
    elif to is None:
        output.emit_text(_yaml(converted.document))
    if not current().machine_readable:
        _tell(converted, name)
    return ExitCode.REJECTED if converted.problems else ExitCode.DONE


def _convert(file: Path, name: str, namespace: str) -> Conversion:
    from flunq.core.converting import convert_document, files_of

    content = read_bytes(file)
    beside = Path() if name == "<stdin>" else file.parent
    included = {
        uri: value
        for uri in files_of(content, name=name)
        if (value := _included(beside, uri)) is not None
    }
    return convert_document(content, name=name, namespace=_label(namespace), included=included)


def _label(namespace: str) -> str:
    from flunq.core.converting.names import label
    from flunq.errors import UsageError

    if label(namespace) != namespace:
        raise UsageError(
            f"{namespace!r} is no namespace", hint="use small letters, digits and hyphens"
        )
    return namespace


def _included(beside: Path, uri: str) -> Any:
    """Return the content of a local file that holds a part of the document."""
    from flunq.core.reading import read_source

    scheme, separator, rest = uri.partition("://")
    if separator and scheme != "file":
        return None
    path = beside / (rest if separator else uri.removeprefix("classpath:").removeprefix("file:"))
    return read_source(path.read_bytes(), name=str(path)).value if path.is_file() else None


def _write(path: Path, document: dict[str, Any]) -> None:
    content = output.json_text(document) if path.suffix == ".json" else _yaml(document)
    try:
        path.write_text(content.rstrip("\n") + "\n", encoding="utf-8")
    except OSError as error:
        raise RejectedError(f"cannot write it: {error.strerror}", where=str(path)) from None


def _yaml(document: dict[str, Any]) -> str:
    import yaml

    class Readable(yaml.SafeDumper):
        """Writes each value out where it is used, instead of an alias."""

        def ignore_aliases(self, data: Any) -> bool:
            """Return True: never refer to another place."""
            return True

    def text_node(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Readable.add_representer(str, text_node)

    def dump(*, unicode: bool) -> str:
        written: str = yaml.dump(
            document, Dumper=Readable, sort_keys=False, allow_unicode=unicode, width=10_000
        )
        return written

    readable = dump(unicode=True)
    return dump(unicode=False) if text.has_unsafe(readable) else readable


def _tell(converted: Conversion, name: str) -> None:
    for problem in converted.problems:
        diagnostics.say(text.neutralise(problem.text(name)))
        if problem.hint:
            diagnostics.say(f"hint: {text.neutralise(problem.hint)}")
