"""Documents of our own that use the whole language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flunq.core.reading import read_source

FILES = sorted((Path(__file__).parent / "documents").iterdir())


@pytest.fixture(params=FILES, ids=lambda file: file.name)
def document_file(request: pytest.FixtureRequest) -> Path:
    """Each valid document in turn."""
    file = request.param
    assert isinstance(file, Path)
    return file


@pytest.fixture(scope="session")
def documents() -> list[Any]:
    """The values of all valid documents."""
    return [read_source(file.read_bytes(), name=file.name).value for file in FILES]
