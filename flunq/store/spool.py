"""Rows on their way into the lake: one file of JSON lines per day."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from flunq.store.columns import Row, encode_rows, rows_of
from flunq.store.lake import SCRATCH, LakeFile

if TYPE_CHECKING:
    from pathlib import Path


class DaySpool:
    """The rows of one day that are in no file of the lake yet."""

    def __init__(self, path: Path, day: str) -> None:
        self.path = path
        self.day = day
        self.longest = 0
        """Bytes of the longest row."""
        self.rows = 0
        self._raw = 0
        self._bounds: tuple[int, int, str, str] | None = None
        self._file: BinaryIO = path.open("wb")

    def add(self, rows: list[Row]) -> None:
        """Append rows of one journal record."""
        text = encode_rows(rows)
        # Cutting the text into lines costs more than a bound that is too large for few rows.
        if len(text) > self.longest:
            self.longest = max(self.longest, max(map(len, text.split(b"\n"))))
        self._file.write(text)
        self._raw += len(text)
        self.rows += len(rows)
        seq = rows[0].journal_seq
        names = [row.execution_id for row in rows]
        low, high = min(names), max(names)
        if self._bounds is None:
            self._bounds = (seq, seq, low, high)
        else:
            first, last, lowest, highest = self._bounds
            self._bounds = (min(first, seq), max(last, seq), min(lowest, low), max(highest, high))

    def finish(self) -> None:
        """Let others read what was added."""
        self._file.close()

    def lake_file(self, path: str, size: int) -> LakeFile:
        """Describe the file that was made of the rows."""
        assert self._bounds is not None
        first, last, low, high = self._bounds
        return LakeFile(
            path=path,
            rows=self.rows,
            bytes=size,
            first_seq=first,
            last_seq=last,
            day=self.day,
            first_execution=low,
            last_execution=high,
            raw=self._raw,
        )


class Spool:
    """The rows of all days that are in no file of the lake yet."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder / SCRATCH
        self._name = name
        self._days: dict[str, DaySpool] = {}
        self.records = 0
        """How many journal records were taken."""

    def add(self, data: bytes, *, partition: int, seq: int) -> None:
        """Take the rows of one journal record."""
        self.records += 1
        days: dict[str, list[Row]] = {}
        for row in rows_of(data, partition=partition, journal_seq=seq):
            days.setdefault(row.time[:10], []).append(row)
        for day, rows in days.items():
            self._day(day).add(rows)

    def take(self) -> list[DaySpool]:
        """Return the days, ready to be read, and begin anew."""
        days = sorted(self._days.values(), key=lambda spool: spool.day)
        self._days = {}
        self.records = 0
        for spool in days:
            spool.finish()
        return days

    def _day(self, day: str) -> DaySpool:
        found = self._days.get(day)
        if found is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{self._name}-{day}.jsonl"
            found = self._days[day] = DaySpool(path, day)
        return found
