"""Executions in files."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.core.events import LazyEvent
from flunq.core.protocol import Details
from flunq.errors import NotFoundError, RejectedError, UsageError
from flunq.store.exports import Header, read_export, write_export
from flunq.store.redacting import REDACTED, Redaction, read_paths

if TYPE_CHECKING:
    from pathlib import Path

STARTED = "io.serverlessworkflow.workflow.started.v1"
DATA: dict[str, Any] = {
    "name": "orders-o1",
    "task": "/do/0/charge",
    "step": 2,
    "input": {"customer": {"email": "ada@example.com"}, "items": [{"card": "4711"}]},
    "dispatch": {"id": "t1", "kind": "http", "arguments": {"headers": {"x-key": "k"}}},
    "error": {"type": "about:blank", "status": 402, "detail": "card 4711"},
}


def event(seq: int, data: Any = None) -> LazyEvent:
    raw = msgspec.Raw(msgspec.json.encode(DATA if data is None else data))
    moment = f"2026-06-01T10:00:0{seq}.000000Z"
    return LazyEvent(
        id=f"o1:{seq}", source="/x", type=STARTED, time=moment, subject="o1", tenant="default",
        workflow="shop/orders:1.0.0", partition=3, seq=seq, data=raw,
    )  # fmt: skip


def header(**changes: Any) -> Header:
    details = Details(
        id="o1", namespace="shop", workflow="orders", version="1.0.0", digest="d",
        status="faulted", started_at=1, ended_at=2, tags={"who": "ada"}, seq=2,
        input=DATA["input"],
    )  # fmt: skip
    return msgspec.structs.replace(
        Header(flunq="0", exported_at="2026-06-01T10:00:00Z", tenant="t", execution=details),
        **changes,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "o1.flunq.gz"
    assert write_export(path, header(), [event(1), event(2)]) == 2
    return path


def lines_of(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


def test_what_was_written_is_read_back(file: Path) -> None:
    found = read_export(file)
    assert found.header == header()
    assert [(one.seq, one.value()) for one in found.events] == [(1, DATA), (2, DATA)]


def test_a_file_is_for_its_owner_and_the_same_each_time(file: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.gz"
    write_export(again, header(), [event(1), event(2)])
    assert again.read_bytes() == file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_rows_of_a_file_are_those_of_the_archive(file: Path) -> None:
    rows = list(read_export(file).rows())
    assert [(row.execution_id, row.seq, row.journal_seq, row.position) for row in rows] == [
        ("o1", 1, 1, 1),
        ("o1", 2, 2, 1),
    ]
    assert (rows[0].task, rows[0].step, rows[0].partition) == ("/do/0/charge", 2, 3)
    assert msgspec.json.decode(rows[0].data) == DATA


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_file_that_was_broken_off_is_not_read(file: Path, cut: int) -> None:
    file.write_bytes(file.read_bytes()[:-cut])
    with pytest.raises(RejectedError, match="no export of flunq, or damaged"):
        read_export(file)


def test_a_file_that_somebody_changed_is_not_read(file: Path) -> None:
    lines = lines_of(file)
    file.write_bytes(gzip.compress(b"".join(lines).replace(b"ada@", b"eve@")))
    with pytest.raises(RejectedError, match="damaged"):
        read_export(file)


def test_a_file_without_some_events_is_not_read(file: Path) -> None:
    first, _, *rest = lines_of(file)
    file.write_bytes(gzip.compress(b"".join([first, *rest])))
    with pytest.raises(RejectedError, match="damaged"):
        read_export(file)


def test_a_newer_format_says_so(file: Path) -> None:
    lines = lines_of(file)
    file.write_bytes(gzip.compress(lines[0].replace(b'"version":1', b'"version":9', 1) + lines[-1]))
    with pytest.raises(RejectedError, match="has version 9 of the format"):
        read_export(file)


@pytest.mark.parametrize("content", [b"", b"hello", gzip.compress(b"hello\nyou\n", mtime=0)])
def test_other_files_are_not_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(RejectedError, match="no export"):
        read_export(path)


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_export(tmp_path / "nothing")


def test_nothing_is_left_of_a_file_that_could_not_be_written(tmp_path: Path) -> None:
    def broken() -> Any:
        yield event(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_export(tmp_path / "o1.gz", header(), broken())
    assert list(tmp_path.iterdir()) == []


def redacted(*paths: str) -> dict[str, Any]:
    changed: dict[str, Any] = Redaction(paths=read_paths(paths)).event(event(1)).value()
    return changed


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("customer.email", ("input", "customer", "email")),
        (".customer.email", ("input", "customer", "email")),
        ("email", ("input", "customer", "email")),
        ("items.card", ("input", "items", 0, "card")),
        ("items.*.card", ("input", "items", 0, "card")),
        ('headers."x-key"', ("dispatch", "arguments", "headers", "x-key")),
        ("customer.*", ("input", "customer", "email")),
        ("detail", ("error", "detail")),
    ],
)
def test_a_member_is_taken_out_wherever_its_path_occurs(path: str, place: tuple[Any, ...]) -> None:
    found: Any = redacted(path)
    for step in place[:-1]:
        found = found[step]
    assert found[place[-1]] == REDACTED
    assert redacted(path)["name"] == DATA["name"]


def test_a_path_that_begins_elsewhere_takes_nothing_out() -> None:
    assert redacted("supplier.email", "customer.email.x") == DATA


def test_of_all_values_the_structure_stays() -> None:
    data = Redaction(payloads=True).event(event(1)).value()
    assert data["task"] == "/do/0/charge"
    assert data["input"] == REDACTED
    assert data["dispatch"] == {"id": "t1", "kind": "http", "arguments": REDACTED}
    assert data["error"] == {"type": "about:blank", "status": 402, "detail": REDACTED}


def test_members_that_nobody_knows_are_taken_for_values() -> None:
    data = Redaction(payloads=True).event(event(1, {"step": 1, "novelty": "secret"})).value()
    assert data == {"step": 1, "novelty": REDACTED}


def test_the_header_is_redacted_like_the_events() -> None:
    details = header().execution
    by_path = Redaction(paths=read_paths(["email", "who"])).details(details)
    assert (by_path.input["customer"]["email"], by_path.tags["who"]) == (REDACTED, REDACTED)
    whole = Redaction(payloads=True).details(details)
    assert (whole.input, whole.output, whole.tags) == (REDACTED, None, {"who": REDACTED})
    assert Redaction(payloads=True).names() == ["payloads"]


@pytest.mark.parametrize("path", ["", "a..b", "a b", '"open', "."])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="no path"):
        read_paths([path])
