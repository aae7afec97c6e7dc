from __future__ import annotations

from flunq.api.tasks.leases import Lease, Leases


def test_a_lease_is_known_by_every_process_of_the_cluster() -> None:
    lease = Leases("control-1", "proof").new("x1", "x1.t.1")
    shown = Lease.decode(lease.encode())
    assert Leases("control-2", "proof").knows(shown, "x1.t.1")
    assert not Leases("control-2", "another").knows(shown, "x1.t.1")
    assert not Leases("control-2", "").knows(shown, "x1.t.1")


def test_a_lease_is_good_for_the_task_that_it_was_made_for() -> None:
    leases = Leases("control-1", "proof")
    lease = leases.new("x1", "x1.t.1")
    assert not leases.knows(lease, "x1.t.2")
    assert not leases.knows(Lease(lease.holder, "x2", lease.word), "x1.t.1")
    assert not leases.knows(Lease("nobody", "x1", "made.up"), "x1.t.1")
