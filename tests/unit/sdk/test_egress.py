from __future__ import annotations

import pytest

from flunq.sdk.egress import EgressPolicy

NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "100.100.100.200",
    "168.63.129.16",
    "fd00:ec2::254",
    "224.0.0.1",
    "255.255.255.255",
    "ff02::1",
]
LOOPBACK = ["127.0.0.1", "127.1.2.3", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1", "::127.0.0.1"]
PRIVATE = ["10.0.0.1", "172.16.5.5", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1"]
PUBLIC = ["93.184.216.34", "2606:2800:220:1::1", "8.8.8.8"]


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_reachable(address: str) -> None:
    refusal = EgressPolicy.development().refusal(address)
    assert refusal
    assert "FLUNQ_EGRESS" not in refusal


@pytest.mark.parametrize("address", LOOPBACK + PRIVATE)
def test_local_addresses_need_the_development_profile(address: str) -> None:
    refusal = EgressPolicy().refusal(address)
    assert refusal
    assert "FLUNQ_EGRESS=development" in refusal
    assert EgressPolicy.of_profile("development").refusal(address) is None
    assert EgressPolicy.of_profile("production").refusal(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_always_reachable(address: str) -> None:
    assert EgressPolicy().refusal(address) is None


def test_loopback_and_private_are_allowed_apart() -> None:
    policy = EgressPolicy(loopback=True)
    assert policy.refusal("127.0.0.1") is None
    assert policy.refusal("10.0.0.1")
