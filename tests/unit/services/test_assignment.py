"""Who should own what."""

from __future__ import annotations

from collections import Counter

import pytest

from flunq.services.assignment import assigned_nodes, role_name


@pytest.mark.parametrize("total", [1, 2, 4, 7, 8, 64, 100])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_no_node_has_more_than_one_partition_more_than_another(total: int, count: int) -> None:
    nodes = [f"node-{number}" for number in range(1, count + 1)]
    owners = assigned_nodes("default", total, nodes)
    shares = Counter(owners)
    assert len(owners) == total
    assert max(shares.values()) - min(shares[node] for node in nodes) <= 1


def test_the_order_of_the_nodes_does_not_matter() -> None:
    assert assigned_nodes("acme", 64, ["a", "b", "c"]) == assigned_nodes("acme", 64, "cab")


def test_most_partitions_stay_where_they_are_when_a_node_leaves() -> None:
    before = assigned_nodes("acme", 60, ["a", "b", "c"])
    after = assigned_nodes("acme", 60, ["a", "b"])
    moved = [number for number in range(60) if before[number] != after[number]]
    assert len(moved) <= 30
    assert len([number for number in moved if before[number] == "c"]) == 20


def test_tenants_of_one_partition_are_spread() -> None:
    owners = Counter(assigned_nodes(f"tenant-{n}", 1, "abc")[0] for n in range(300))
    assert min(owners.values()) > 70


def test_without_nodes_nobody_is_assigned() -> None:
    assert assigned_nodes("acme", 8, []) == []


def test_a_roles_name_says_what_it_is() -> None:
    assert role_name("acme", 3, 8) == "acme-partition-3-of-8"
