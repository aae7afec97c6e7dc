"""``flunq tenants``, ``flunq nodes`` and ``flunq plugins`` as a user types them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster import HELLO, running_cluster
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Flunq

pytestmark = pytest.mark.timeout(120)
OWN_STREAMS = {
    "journal", "inbox", "tasks", "events", "schedules", "dead_letters", "audit", "blobs",
}  # fmt: skip


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    """A cluster with the tenants acme and beta, each with one execution x1."""
    with running_cluster(tmp_path_factory.mktemp("tenants")) as flunq:
        (flunq.home / "hello.yaml").write_text(HELLO)
        for name in ("acme", "beta"):
            made = flunq("tenants", "create", name, "--partitions", "2")
            assert made.code == 0, made.err
            context = f"local-{name}"
            for command in (
                ("apply", "hello.yaml"),
                ("start", "hello", "--id", "x1", "-i", json.dumps({"name": f"user-{name}"})),
                ("result", "x1"),
            ):
                done = flunq("-c", context, *command)
                assert done.code == 0, done.err
        yield flunq


def loaded(flunq: Flunq, *arguments: str) -> Any:
    """Run a command and read its JSON."""
    done = flunq(*arguments, "-o", "json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_tenants_are_listed_and_shown_with_what_they_use(cluster: Flunq) -> None:
    found = {each["name"]: each for each in loaded(cluster, "tenants", "list")}
    assert set(found) == {"acme", "beta", "default"}
    assert (found["acme"]["state"], found["acme"]["partitions"]) == ("ready", 2)
    shown = loaded(cluster, "tenants", "show", "acme")
    assert (shown["use"]["workflows"], shown["use"]["nodes"]) == (1, 1)
    assert shown["use"]["journal_bytes"] > 0
    assert "2 on 1 nodes" in cluster("tenants", "show", "acme").out


def test_the_option_names_the_tenant_to_act_for(cluster: Flunq) -> None:
    for name in ("acme", "beta"):
        (only,) = loaded(cluster, "-t", name, "list")
        assert only["id"] == "x1"
        result = loaded(cluster, "-t", name, "result", "x1")
        assert result["output"] == {"greeting": f"Hello, user-{name}"}
    assert cluster("result", "x1").code == 4


def test_the_user_of_a_tenant_is_nobody_elsewhere(cluster: Flunq) -> None:
    for arguments in (("-t", "beta", "list"), ("-t", "default", "list"), ("tenants", "list")):
        refused = cluster("-c", "local-acme", *arguments)
        assert (refused.code, refused.out) == (3, ""), arguments


def test_sql_sees_its_own_tenant_only(cluster: Flunq) -> None:
    query = "select distinct input.name as name from executions"
    assert loaded(cluster, "-c", "local-acme", "sql", query) == [{"name": "user-acme"}]
    lake = cluster.home / "data" / "history"
    for pattern in (
        lake / "beta" / "**",
        lake / "default" / "**",
        lake / "acme" / ".." / "beta" / "*",
    ):
        for function in ("read_text", "read_blob", "read_parquet"):
            query = f"select * from {function}('{pattern}')"
            stolen = cluster("-c", "local-acme", "sql", query)
            assert (stolen.code, stolen.out) == (3, ""), query


def test_a_tenant_sees_how_full_its_own_streams_are_and_no_others(cluster: Flunq) -> None:
    query = "select name, kind, messages from streams order by name"
    acme, first = loaded(cluster, "-c", "local-acme", "sql", query), loaded(cluster, "sql", query)
    assert all("_ACME" in each["name"] for each in acme)
    assert {each["kind"] for each in acme} == OWN_STREAMS
    assert next(each for each in acme if each["kind"] == "journal")["messages"] > 0
    assert {each["kind"] for each in first} > OWN_STREAMS | {"state", "leases"}
    assert not [each for each in first if "_ACME" in each["name"] or "_BETA" in each["name"]]
    # No task of theirs was ever in the queue, so that nobody has taken one from it.
    assert loaded(cluster, "-c", "local-acme", "sql", "select stream from consumers") == []


@pytest.mark.parametrize("name", ["../beta", "a/b", "..", "*", ">", "a b"])
def test_names_that_lead_elsewhere_are_refused(cluster: Flunq, name: str) -> None:
    assert cluster("tenants", "create", name).code == 2
    assert cluster("tenants", "show", name).code in (2, 4)


def test_a_password_is_in_the_context_and_nowhere_else(cluster: Flunq) -> None:
    made = cluster("tenants", "create", "quiet", "-o", "json")
    assert json.loads(made.out)["context"] == "local-quiet"
    (file,) = cluster.home.rglob("local-quiet.toml")
    password = next(
        line.split('"')[1] for line in file.read_text().splitlines() if "password" in line
    )
    assert file.stat().st_mode & 0o077 == 0
    told = [cluster(*words, "-o", "json") for words in (("tenants", "permissions", "quiet"),)]
    assert all(password not in each.out + each.err for each in (made, *told))
    assert json.loads(told[0].out)["publish"][0] == "flunq.start.quiet.>"


def test_deleting_wants_a_yes_and_takes_the_context_along(cluster: Flunq) -> None:
    assert cluster("tenants", "create", "gone").code == 0
    asked = cluster("tenants", "delete", "gone")
    assert (asked.code, "--yes" in asked.err) == (2, True)
    assert cluster("tenants", "delete", "gone", "--yes").code == 0
    assert not list(cluster.home.rglob("local-gone.toml"))
    wait_until(lambda: "gone" not in cluster("status").out)
    assert cluster("tenants", "delete", "gone", "--yes").code == 4
    assert cluster("tenants", "delete", "default", "--yes").code == 3


def test_tokens_of_a_tenant_go_with_it_and_do_not_come_back_with_its_name(cluster: Flunq) -> None:
    for _ in range(2):
        assert cluster("tenants", "create", "brief").code == 0
        made = loaded(
            cluster, "tokens", "create", "--name", "ci", "--tenant", "brief", "--role", "viewer"
        )
        assert cluster("tenants", "delete", "brief", "--yes").code == 0
    listed = loaded(cluster, "tokens", "list", "--tenant", "brief")
    assert made["id"] in {each["id"] for each in listed}
    assert {each["state"] for each in listed} == {"revoked"}


def test_a_quota_that_is_used_up_is_a_problem_of_its_own(cluster: Flunq) -> None:
    changed = loaded(cluster, "tenants", "update", "beta", "--quota-bytes", "1KiB")
    assert changed["quotas"]["bytes"] == 1024
    (cluster.home / "big.json").write_text(json.dumps({"name": "x" * 700_000}))
    refused = cluster("-t", "beta", "start", "hello", "-i", "@big.json", "-o", "json")
    assert refused.code == 1
    assert json.loads(refused.out)["type"] == "urn:flunq:error:quota-exceeded"
    again = loaded(cluster, "tenants", "update", "beta", "--quota-bytes", "none")
    assert again["quotas"]["bytes"] is None


def test_nodes_tell_what_they_run_and_own(cluster: Flunq) -> None:
    (node,) = loaded(cluster, "nodes")
    assert (node["name"], node["roles"], node["leaving"]) == (
        "node-1",
        ["worker", "executor"],
        False,
    )
    assert node["tenants"]["acme"]["partitions"] == [0, 1]
    assert node["memory"] > 1_000_000
    assert node["seen_at"] > node["started_at"]
    assert "node-1" in cluster("nodes").out


BROKEN = """\
[flunq.executors]
broken = flunq_broken:Nothing
"""


def test_a_broken_plugin_is_shown_with_the_reason(cluster: Flunq) -> None:
    whole = loaded(cluster, "plugins", "list")
    http = next(each for each in whole if each["name"] == "http")
    assert (http["distribution"], http["kinds"], http["problem"]) == ("flunq", ["http"], None)
    assert cluster("plugins", "list", "--check").code == 0
    info = cluster.home / "site" / "flunq_broken-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: flunq-broken\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(BROKEN)
    with_it = {"PYTHONPATH": str(info.parent)}
    shown = cluster("plugins", "list", "-o", "json", environ=with_it)
    broken = next(each for each in json.loads(shown.out) if each["name"] == "broken")
    assert (shown.code, broken["version"]) == (0, "1.2")
    assert "No module named 'flunq_broken'" in broken["problem"]
    checked = cluster("plugins", "list", "--check", environ=with_it)
    assert (checked.code, "cannot be used: broken" in checked.err) == (1, True)


def test_a_tenant_that_is_not_there_is_told_of(cluster: Flunq) -> None:
    for command in (("list",), ("start", "hello"), ("get", "x1")):
        asked = cluster("-t", "nobody", *command)
        assert (asked.code, "no tenant nobody" in asked.err) == (4, True), asked.err
