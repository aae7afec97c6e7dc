"""Names become addresses that were checked."""

from __future__ import annotations

import pytest

from flunq.sdk.egress import EgressPolicy
from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.web.addresses import checked_addresses

OPEN = EgressPolicy.development()


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", ["127.0.0.1"]), ("[::1]", ["::1"]), ("::1", ["::1"])]
)
async def test_an_address_is_itself(host: str, expected: list[str]) -> None:
    assert await checked_addresses(host, 80, OPEN) == expected


async def test_a_name_is_resolved_once_for_each_address() -> None:
    found = await checked_addresses("localhost", 80, OPEN)
    assert "127.0.0.1" in found
    assert len(found) == len(set(found))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "10.0.0.1"])
async def test_what_the_policy_forbids_is_an_authorization_error(host: str) -> None:
    with pytest.raises(TaskError) as caught:
        await checked_addresses(host, 80, EgressPolicy())
    assert (caught.value.type, caught.value.status) == (ERRORS + "authorization", 403)
    assert host in str(caught.value.detail)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".test"])
async def test_a_name_without_address_is_a_communication_error(host: str) -> None:
    with pytest.raises(TaskError) as caught:
        await checked_addresses(host, 80, OPEN)
    assert (caught.value.type, caught.value.status) == (ERRORS + "communication", 503)
