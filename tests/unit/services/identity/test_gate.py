from __future__ import annotations

import pytest

from flunq.errors import UnavailableError
from flunq.services.identity import Gate, Principal, TokenRefusedError, TooManyRequestsError
from flunq.services.identity.registry import Registry, local_token
from tests.unit.services.identity.conftest import CLUSTER_KEY, Desk, HandClock

HERE = "10.0.0.1"


async def test_a_token_says_who_asks(desk: Desk) -> None:
    principal = await desk.gate.principal(f"bearer {await desk.token()}", remote=HERE)
    assert (principal.name, principal.tenant, principal.role) == ("ci", "shop", "operator")
    assert principal.token_id == (await desk.registry.list("shop"))[0].id


async def test_a_token_ends_in_its_last_second_also_when_it_is_known(desk: Desk) -> None:
    authorization = f"Bearer {await desk.token(lifetime=60)}"
    desk.clock.now += 59
    await desk.gate.principal(authorization, remote=HERE)
    desk.clock.now += 1
    with pytest.raises(TokenRefusedError, match="expired"):
        await desk.gate.principal(authorization, remote=HERE)


async def test_a_clock_that_is_a_minute_behind_is_forgiven(desk: Desk) -> None:
    authorization = f"Bearer {await desk.token()}"
    desk.clock.now -= 60
    await desk.gate.principal(authorization, remote=HERE)
    desk.clock.now -= 1
    with pytest.raises(TokenRefusedError, match="not valid yet"):
        await desk.gate.principal(authorization, remote=HERE)


async def test_a_revoked_token_is_refused_wherever_it_is_shown_again(desk: Desk) -> None:
    authorization = f"Bearer {await desk.token()}"
    other = await desk.beside()
    await other.gate.principal(authorization, remote=HERE)
    await desk.registry.revoke(name="ci")
    assert await other.registry.refresh()
    for each in (desk, other, await desk.beside()):
        with pytest.raises(TokenRefusedError, match="revoked"):
            await each.gate.principal(authorization, remote=HERE)


async def test_revoking_one_token_leaves_the_others(desk: Desk) -> None:
    kept, gone = await desk.token(name="kept"), await desk.token(name="gone")
    await desk.registry.revoke(name="gone")
    assert (await desk.gate.principal(f"Bearer {kept}", remote=HERE)).name == "kept"
    with pytest.raises(TokenRefusedError, match="revoked"):
        await desk.gate.principal(f"Bearer {gone}", remote=HERE)


async def test_old_keys_verify_until_they_are_revoked(desk: Desk) -> None:
    before = await desk.token()
    first = await desk.registry.rotate("r1", revoke_old=False)
    after = await desk.token()
    for token in (before, after):
        await desk.gate.principal(f"Bearer {token}", remote=HERE)
    second = await desk.registry.rotate("r2", revoke_old=True)
    assert first.key in second.old
    for token in (before, after):
        with pytest.raises(TokenRefusedError):
            await desk.gate.principal(f"Bearer {token}", remote=HERE)
    await desk.gate.principal(f"Bearer {await desk.token()}", remote=HERE)


async def test_the_local_token_needs_nothing_that_runs(desk: Desk) -> None:
    token = local_token(CLUSTER_KEY, tenant="default", now=int(desk.clock.now))
    principal = await desk.gate.principal(f"Bearer {token}", remote=HERE)
    assert (principal.name, principal.role, principal.tenant) == ("local", "admin", "default")
    await desk.registry.revoke(name="local")
    with pytest.raises(TokenRefusedError, match="revoked"):
        await (await desk.beside()).gate.principal(f"Bearer {token}", remote=HERE)


async def test_a_token_of_another_cluster_is_refused(desk: Desk) -> None:
    foreign = local_token("another cluster's key", tenant="default", now=int(desk.clock.now))
    with pytest.raises(TokenRefusedError, match="not issued by this cluster"):
        await desk.gate.principal(f"Bearer {foreign}", remote=HERE)


async def test_nobody_is_let_in_before_revocations_are_known(desk: Desk) -> None:
    registry = Registry(cluster_key=CLUSTER_KEY, tenant="default", clock=desk.clock)
    gate = Gate(registry, desk.settings, clock=desk.clock)
    with pytest.raises(UnavailableError):
        await gate.principal(f"Bearer {await desk.token()}", remote=HERE)


async def test_a_principal_has_so_many_requests_and_gets_more_with_time(desk: Desk) -> None:
    who = Principal(name="ci", tenant="shop", role="viewer", token_id="1")
    for _ in range(20):
        desk.gate.allow(who)
    with pytest.raises(TooManyRequestsError) as refused:
        desk.gate.allow(who)
    assert refused.value.status == 429
    assert refused.value.retry_after == pytest.approx(0.1)
    desk.clock.now += 0.1001
    desk.gate.allow(who)


async def test_one_principal_does_not_use_up_what_another_has(desk: Desk) -> None:
    busy, calm = (
        Principal(name="ci", tenant=tenant, role="viewer", token_id="1") for tenant in ("a", "b")
    )
    for _ in range(20):
        desk.gate.allow(busy)
    desk.gate.allow(calm)
    with pytest.raises(TooManyRequestsError):
        desk.gate.allow(busy)


async def test_guessing_is_slowed_by_address_and_only_there(desk: Desk) -> None:
    for number in range(5):
        with pytest.raises(TokenRefusedError):
            await desk.gate.principal(f"Bearer a.b.{number}", remote=HERE)
    with pytest.raises(TooManyRequestsError):
        await desk.gate.principal("Bearer a.b.c", remote=HERE)
    with pytest.raises(TokenRefusedError):
        await desk.gate.principal("Bearer a.b.c", remote="10.0.0.2")
    desk.clock.now += 1
    with pytest.raises(TokenRefusedError):
        await desk.gate.principal("Bearer a.b.c", remote=HERE)


async def test_a_known_token_passes_while_others_guess_at_its_address(desk: Desk) -> None:
    authorization = f"Bearer {await desk.token()}"
    await desk.gate.principal(authorization, remote=HERE)
    for number in range(5):
        with pytest.raises(TokenRefusedError):
            await desk.gate.principal(f"Bearer a.b.{number}", remote=HERE)
    assert (await desk.gate.principal(authorization, remote=HERE)).name == "ci"


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    from flunq.services.identity.limits import Limiter

    clock = HandClock()
    limiter = Limiter(rate=1, burst=1, clock=clock)
    limiter.take("x", "too many")
    clock.now -= 1000
    with pytest.raises(TooManyRequestsError):
        limiter.take("x", "too many")
