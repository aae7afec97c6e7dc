"""Who should own what."""

from __future__ import annotations

from collections import Counter

from flunq.services.assignment import assigned_node, role_name

ROLES = [role_name("default", number, 64) for number in range(64)]


def test_every_role_has_one_node_and_all_nodes_get_some() -> None:
    shares = Counter(assigned_node(role, ["a", "b", "c"]) for role in ROLES)
    assert set(shares) == {"a", "b", "c"}
    assert max(shares.values()) <= 3 * min(shares.values())


def test_the_order_of_the_nodes_does_not_matter() -> None:
    for role in ROLES:
        assert assigned_node(role, ["a", "b", "c"]) == assigned_node(role, ["c", "a", "b"])


def test_a_leaving_node_moves_only_its_own_roles() -> None:
    before = {role: assigned_node(role, ["a", "b", "c"]) for role in ROLES}
    after = {role: assigned_node(role, ["a", "b"]) for role in ROLES}
    assert all(after[role] == node for role, node in before.items() if node != "c")


def test_without_nodes_nobody_is_assigned() -> None:
    assert assigned_node(ROLES[0], []) is None


def test_a_roles_name_says_what_it_is() -> None:
    assert role_name("acme", 3, 8) == "acme-partition-3-of-8"
