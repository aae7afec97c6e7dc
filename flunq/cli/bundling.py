"""What documents refer to, fetched from this machine and the web before they are registered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flunq.cli.session import settings

if TYPE_CHECKING:
    from flunq.client.resources import Fetching
    from flunq.core.document.bundle import Bundle
    from flunq.core.reading import Document, Problem

MISSING_FILE = "missing-file"
"""The rule of a file that only executors need."""


async def bundled(document: Document) -> Bundle:
    """Return everything that a document refers to; raises InvalidDocument."""
    from flunq.core.document.bundle import Bundle

    if not refers(document):
        return Bundle(digest=document.digest)
    from flunq.client.bundling import bundle_document

    return await bundle_document(document, fetching_for(document.source.name))


def refers(document: Document) -> bool:
    """Tell whether a document refers to anything: most do not, and need none of what follows."""
    from flunq.core.document.addresses import DOCUMENT
    from flunq.core.document.references import in_workflow

    return next(in_workflow(document.value, DOCUMENT), None) is not None


async def reference_problems(document: Document, *, remote: bool) -> list[Problem]:
    """Return what is wrong with what a document refers to, the web only if ``remote``."""
    import msgspec

    from flunq.client.bundling import bundle_document
    from flunq.core.reading import InvalidDocument

    fetching = msgspec.structs.replace(fetching_for(document.source.name), remote=remote)
    try:
        await bundle_document(document, fetching)
    except InvalidDocument as invalid:
        return list(invalid.problems)
    return []


def fetching_for(name: str) -> Fetching:
    """Return from where a document's references are fetched: its folder, and any address."""
    from flunq.client.resources import Fetching
    from flunq.sdk.egress import EgressPolicy

    folder = Path.cwd() if name == "<stdin>" else Path(name).absolute().parent
    return Fetching(
        directory=folder,
        catalog=settings().settings.catalog,
        egress=EgressPolicy.of_profile("development"),
    )
