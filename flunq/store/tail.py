"""The journal's tail for one query: rows in a file that only this user can read."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flunq.store.columns import encode_rows, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO


class Tail:
    """Collects raw commits as rows, in the form that the child reads."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.records = 0
        self._file = file

    def add(self, partition: int, records: Iterable[tuple[int, bytes]]) -> None:
        """Add commits of a partition, each with its journal sequence."""
        for journal_seq, data in records:
            rows = rows_of(data, partition=partition, journal_seq=journal_seq)
            self._file.write(encode_rows(rows))
            self.records += 1

    def finish(self) -> str | None:
        """Let the rows be read; returns where they are, None if there are none."""
        self._file.flush()
        return str(self.path) if self.records else None


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder with mode 0700 for one query, and remove it."""
    with tempfile.TemporaryDirectory(prefix="flunq-sql-") as folder:
        yield Path(folder)


@contextmanager
def collect_tail(folder: Path) -> Iterator[Tail]:
    """Open the file of a query's tail."""
    path = folder / "tail.jsonl"
    with path.open("xb") as file:
        path.chmod(0o600)
        yield Tail(path, file)
