from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.config import Settings
from flunq.services.diagnosis import Check, cluster, machine, run_checks
from flunq.services.diagnosis.checks import ok
from flunq.services.supervising.statefile import ServiceStatus
from flunq.store.lake import LakeFile, Manifest, write_manifest
from tests.support.cluster_state import cluster_state

if TYPE_CHECKING:
    from pathlib import Path


def varz(**jetstream: object) -> cluster.ServerVariables:
    document = {"version": "2.15.1", "jetstream": {"config": jetstream}}
    return msgspec.convert(document, cluster.ServerVariables)


async def test_a_check_that_breaks_does_not_hide_the_others() -> None:
    async def broken() -> Check:
        raise ValueError("oops")

    async def fine() -> Check:
        return ok("fine", "yes")

    first, second = await run_checks([("broken", broken), ("fine", fine)])
    assert (first.name, first.status, first.value) == ("broken", "fail", "ValueError: oops")
    assert second.status == "ok"


@pytest.mark.parametrize(
    ("config", "promised", "status"),
    [
        ({"sync_always": True}, "strict", "ok"),
        ({"sync_interval": 100_000_000}, "strict", "fail"),
        ({"sync_interval": 100_000_000}, "fast", "ok"),
        ({"sync_interval": 120_000_000_000}, "fast", "fail"),
        ({"sync_always": True}, "fast", "ok"),
    ],
)
def test_durability_is_what_the_server_does_not_what_was_said(
    config: dict[str, object], promised: str, status: str
) -> None:
    assert cluster.check_durability(varz(**config), promised).status == status


@pytest.mark.parametrize(("skew", "status"), [(0.1, "ok"), (2, "warn"), (-60, "fail")])
def test_clocks_that_differ_are_found(skew: float, status: str) -> None:
    variables = cluster.ServerVariables(now="2026-11-21T02:00:00.123456789Z")
    assert cluster.check_clock(variables, 1795226400.123456 - skew).status == status


def test_a_store_that_is_nearly_full_fails() -> None:
    variables = varz(max_storage=1000)
    variables.jetstream.stats.storage = 950
    assert cluster.check_limits(variables).status == "fail"


def test_an_old_server_fails() -> None:
    assert cluster.check_version(cluster.ServerVariables(version="2.10.0")).status == "fail"


def test_a_service_that_is_down_fails_and_a_restart_warns() -> None:
    fine = ServiceStatus(name="nats", pid=1, state="ready")
    restarted = ServiceStatus(name="node-1", pid=2, state="ready", restarts=2, reason="exit code 1")
    down = ServiceStatus(name="control", pid=None, state="backoff", reason="killed by SIGKILL")
    assert [each.status for each in cluster.check_services(cluster_state(fine))] == ["ok"]
    found = cluster.check_services(cluster_state(fine, restarted, down))
    assert [each.status for each in found] == ["warn", "fail"]


def test_this_machine_is_measured(tmp_path: Path) -> None:
    assert "ms median" in machine.check_sync_latency(tmp_path / "not" / "yet").value
    assert "MiB free" in machine.check_disk(tmp_path).value
    assert machine.check_packages().status == "ok"
    assert machine.check_python().status == "ok"


def test_a_named_port_that_is_taken_fails_unless_our_cluster_has_it() -> None:
    from flunq.services.supervising.network import listen

    with listen(0) as taken:
        settings = Settings(api_port=taken.getsockname()[1])
        assert machine.check_ports(settings, running=False)[0].status == "fail"
        assert machine.check_ports(settings, running=True)[0].status == "ok"


def test_few_file_descriptors_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    # Services take what the hard limit allows them.
    for limits, status in [((256, 4096), "ok"), ((256, 1024), "warn"), ((256, 256), "fail")]:
        monkeypatch.setattr(resource, "getrlimit", lambda _, limits=limits: limits)
        assert machine.check_descriptors().status == status


@pytest.mark.parametrize(
    ("workers", "partitions", "status"), [(1, 1, "ok"), (2, 2, "ok"), (3, 8, "ok"), (2, 1, "warn")]
)
def test_nodes_that_can_own_nothing_are_named(workers: int, partitions: int, status: str) -> None:
    check = cluster.check_shares(workers, "acme", partitions)
    assert check.status == status
    assert f"{partitions} of tenant acme for {workers} nodes" in check.value


def test_a_lost_file_of_an_archive_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "a.parquet").write_bytes(b"12345")
    file = LakeFile(
        path="a.parquet",
        rows=1,
        bytes=5,
        first_seq=1,
        last_seq=1,
        day="d",
        first_execution="a",
        last_execution="a",
    )
    write_manifest(folder, Manifest(tenant="shop", generation=1, files=[file]))
    (check,) = machine.check_archive_files(tmp_path)
    assert check.status == "ok"
    (folder / "a.parquet").write_bytes(b"1234")
    (check,) = machine.check_archive_files(tmp_path)
    assert check.status == "fail"
    assert check.value.startswith(f"{folder}/a.parquet is gone or cut off")
    assert (check.remedy or "").endswith("flunq lake rebuild --keep-archive -t shop")
