"""The archive as a user sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import HELLO, running_cluster
from tests.support.lake import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Flunq

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as flunq:
        (flunq.home / "hello.yaml").write_text(HELLO)
        assert flunq("run", "hello.yaml").code == 0
        yield flunq


def test_a_flush_brings_everything_into_files(cluster: Flunq) -> None:
    flushed = cluster("lake", "flush", "-o", "json")
    assert flushed.code == 0, flushed.err
    assert flushed.json["behind"] == 0
    assert flushed.json["rows"] >= 5
    assert cluster("lake", "status", "-o", "json").json["through"] == flushed.json["through"]


def test_the_status_is_readable(cluster: Flunq) -> None:
    shown = cluster("lake", "status")
    assert shown.code == 0
    assert "following" in shown.out
    assert "problem" not in shown.out


def test_compacting_and_rebuilding_keep_the_rows(cluster: Flunq) -> None:
    cluster("lake", "flush")
    folder = cluster.home / "data/history/default"
    before = rows(folder, "execution_id, seq, data")
    assert cluster("lake", "compact").code == 0
    rebuilt = cluster("lake", "rebuild")
    assert (rebuilt.code, rebuilt.out) == (0, ""), rebuilt.err
    assert "events in 1 files" in rebuilt.err
    assert set(rows(folder, "execution_id, seq, data")) >= set(before)


def test_setting_the_files_aside_needs_a_yes(cluster: Flunq) -> None:
    assert cluster("lake", "rebuild", "--anew").code == 2
    assert cluster("lake", "rebuild", "--anew", "--keep-archive").code == 2


def test_a_deleted_execution_is_still_in_the_archive(cluster: Flunq) -> None:
    assert cluster("run", "hello.yaml", "--id", "gone").code == 0
    assert cluster("delete", "gone", "--yes").code == 0
    cluster("lake", "flush")
    assert cluster("get", "gone").code == 4
    shown = cluster("history", "gone", "-o", "json")
    assert [each["seq"] for each in shown.json] == [1, 2, 3, 4, 5, 6]
    assert shown.json[-1]["type"] == "io.flunq.execution.deleted"


def test_an_unknown_execution_is_in_no_archive(cluster: Flunq) -> None:
    assert cluster("history", "never-was").code == 4


def test_the_cluster_status_tells_of_the_archive(cluster: Flunq) -> None:
    (archive,) = cluster("status", "-o", "json").json["archives"]
    assert (archive["tenant"], archive["state"]) == ("default", "following")
    assert "default: following" in cluster("status").out


def test_a_historian_of_its_own_needs_a_folder(cluster: Flunq) -> None:
    refused = cluster("serve", "historian", "--nats", "nats://127.0.0.1:1")
    assert refused.code == 2
    assert "--data" in refused.err
