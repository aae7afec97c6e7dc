"""``flunq apply``: register workflow documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.cli import diagnostics, output, text
from flunq.cli.engine import as_rows, connected
from flunq.cli.exits import ExitCode
from flunq.cli.options import DryRunOption, FilesArgument, read_bytes
from flunq.errors import RejectedError

if TYPE_CHECKING:
    from pathlib import Path

    from flunq.client import Client
    from flunq.core.document.bundle import Bundle
    from flunq.core.reading import Document, InvalidDocument

_DRY = {True: "would be created", False: "unchanged"}
_DONE = {True: "created", False: "unchanged"}


async def command(files: FilesArgument, dry_run: DryRunOption = False) -> int:
    """Register workflow documents.

    $ flunq apply order.yaml

    $ flunq apply workflows/*.yaml --dry-run

    Registering the same document again changes nothing. A version never changes: other content
    under a registered version is rejected. Nothing is registered when any document is rejected.
    The schemas, functions and files that a document refers to are registered along with it.
    """
    documents, rejected = _read_all(files)
    if rejected:
        return _show_rejected(rejected)
    bundles = await _bundle_all(documents, rejected)
    if rejected:
        return _show_rejected(rejected)
    async with connected() as client:
        rows = [
            await _register(client, document, bundle, dry_run)
            for document, bundle in zip(documents, bundles, strict=True)
        ]
    _show(rows)
    for document in documents:
        if "schedule" in document.value and not dry_run:
            name = text.neutralise(document.name)
            diagnostics.say(f"its schedule is in force; see: flunq schedules show {name}")
    return ExitCode.DONE


def _read_all(files: list[Path]) -> tuple[list[Document], list[dict[str, Any]]]:
    """Read every file; nothing is registered unless all of them are valid."""
    from flunq.core.reading import InvalidDocument, read_document

    documents: list[Document] = []
    rejected: list[dict[str, Any]] = []
    for path in files:
        name = "<stdin>" if str(path) == "-" else str(path)
        try:
            documents.append(read_document(read_bytes(path), name=name))
        except InvalidDocument as invalid:
            rejected.append(_rejection(name, invalid))
    return documents, rejected


async def _bundle_all(documents: list[Document], rejected: list[dict[str, Any]]) -> list[Bundle]:
    """Fetch what each document refers to, adding those that lack something to ``rejected``."""
    from flunq.cli.bundling import bundled
    from flunq.core.reading import InvalidDocument

    bundles: list[Bundle] = []
    for document in documents:
        try:
            bundles.append(await bundled(document))
        except InvalidDocument as invalid:
            rejected.append(_rejection(document.source.name, invalid))
    return bundles


def _rejection(name: str, invalid: InvalidDocument) -> dict[str, Any]:
    from flunq.cli.commands.validate import verdict

    lines = [problem.text(name) for problem in invalid.problems]
    return {
        "file": name,
        **verdict(list(invalid.problems)),
        "lines": lines,
        "hint": invalid.hint,
    }


def _show_rejected(rejected: list[dict[str, Any]]) -> int:
    lines = [line for each in rejected for line in each.pop("lines")]
    hint = next((hint for each in rejected if (hint := each.pop("hint"))), None)
    if not as_rows():
        output.emit(rejected)
        return ExitCode.REJECTED
    count = len(rejected)
    what = "1 document is" if count == 1 else f"{count} documents are"
    raise RejectedError("\n".join([f"{what} rejected; nothing was registered", *lines]), hint=hint)


async def _register(
    client: Client, document: Document, bundle: Bundle, dry_run: bool
) -> dict[str, Any]:
    row = {
        "file": document.source.name,
        "namespace": document.namespace,
        "name": document.name,
        "version": document.version,
        "digest": bundle.digest,
    }
    if dry_run:
        return {**row, "result": _DRY[await _is_new(client, document, bundle.digest)]}
    try:
        answer = await client.apply(document.source.content, bundle=bundle)
    except RejectedError as error:
        raise RejectedError(error.message, hint=error.hint, where=document.source.name) from None
    return {**row, "result": _DONE[bool(answer["created"])]}


async def _is_new(client: Client, document: Document, digest: str) -> bool:
    full = f"{document.namespace}/{document.name}:{document.version}"
    known = {
        f"{each.namespace}/{each.name}:{each.version}": each.digest
        for each in await client.workflows(f"{document.namespace}/{document.name}")
    }
    if known.get(full, digest) != digest:
        raise RejectedError(
            f"{full} is registered with other content",
            hint="a version never changes: raise document.version",
            where=document.source.name,
        )
    return full not in known


def _show(rows: list[dict[str, Any]]) -> None:
    if as_rows():
        lines = [
            f"{row['namespace']}/{row['name']}:{row['version']} {row['result']}" for row in rows
        ]
        output.emit(rows, plain="\n".join(map(text.neutralise, lines)))
    else:
        output.emit(rows)
    if len(rows) == 1 and not rows[0]["result"].startswith("would"):
        diagnostics.say(f"start it with: flunq start {text.neutralise(rows[0]['name'])}")
