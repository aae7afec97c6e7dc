from __future__ import annotations

import msgspec
import pytest

from flunq.errors import NotFoundError, RejectedError, UnavailableError
from flunq.services.identity import keys
from flunq.services.identity.keys import KeyRecord
from flunq.services.identity.registry import AnsweredElsewhereError, Registry
from tests.unit.services.identity.conftest import CLUSTER_KEY, Desk


async def test_the_bucket_never_holds_a_token_or_an_open_key(desk: Desk) -> None:
    token = await desk.token()
    await desk.registry.rotate("r1", revoke_old=False)
    stored = b""
    for name in await desk.bucket.keys():
        entry = await desk.bucket.get(name)
        assert entry is not None
        stored += entry.value
    assert token.rpartition(".")[2].encode() not in stored
    assert keys.first_signer(CLUSTER_KEY)._private.private_bytes_raw() not in stored
    assert CLUSTER_KEY.encode() not in stored


async def test_a_key_that_somebody_else_put_there_is_not_believed(desk: Desk) -> None:
    stranger = keys.new_signer()
    for sealed in (b"", stranger.sealed("another cluster's key")):
        record = KeyRecord(
            id=stranger.key_id, public=stranger.public, created_at=9_999_999_999, sealed=sealed
        )
        await desk.bucket.put(f"keys/{record.id}", msgspec.json.encode(record))
        assert (await desk.beside()).registry.public_key(stranger.key_id) is None


async def test_asking_again_gives_the_same_token(desk: Desk) -> None:
    wish = {"id": "a1", "name": "ci", "role": "viewer", "tenant": "shop", "lifetime": 60}
    first = await desk.registry.create(**wish)  # type: ignore[arg-type]
    desk.clock.now += 5
    assert await desk.registry.create(**wish) == first  # type: ignore[arg-type]
    with pytest.raises(RejectedError, match="another token"):
        await desk.registry.create(**{**wish, "role": "admin"})  # type: ignore[arg-type]


async def test_a_rotation_happens_once_however_many_processes_hear_of_it(desk: Desk) -> None:
    other = await desk.beside()
    await desk.registry.rotate("r1", revoke_old=False)
    with pytest.raises(AnsweredElsewhereError):
        await other.registry.rotate("r1", revoke_old=False)
    assert len(await desk.bucket.keys("keys/")) == 2


async def test_tokens_end_with_their_key_in_the_list_too(desk: Desk) -> None:
    await desk.token()
    await desk.registry.rotate("r1", revoke_old=True)
    assert [view.revoked_at for view in await desk.registry.list("shop")] == [int(desk.clock.now)]


async def test_tokens_of_another_tenant_cannot_be_revoked(desk: Desk) -> None:
    await desk.token()
    with pytest.raises(NotFoundError):
        await desk.registry.revoke(name="ci", tenant="other")
    assert [view.revoked_at for view in await desk.registry.list()] == [None, None]


async def test_a_token_that_expired_long_ago_is_forgotten_at_the_next_start(desk: Desk) -> None:
    await desk.token(lifetime=60)
    desk.clock.now += 31 * 86_400
    await desk.beside()
    assert [view.name for view in await desk.registry.list()] == ["local"]


async def test_without_the_clusters_key_tokens_are_verified_but_not_issued(desk: Desk) -> None:
    registry = Registry(cluster_key=None, tenant="default", clock=desk.clock)
    await registry.open(desk.bucket)
    assert registry.public_key(keys.first_signer(CLUSTER_KEY).key_id) is not None
    assert registry.issuer == keys.cluster_id(CLUSTER_KEY)
    with pytest.raises(UnavailableError, match="can issue nothing"):
        await registry.create(name="x", role="viewer", tenant="a", lifetime=None)


@pytest.mark.parametrize(
    ("name", "tenant", "lifetime", "id"),
    [
        ("", "a", None, ""),
        ("x" * 129, "a", None, ""),
        ("a\nb", "a", None, ""),
        ("x", "../a", None, ""),
        ("x", "a", 0, ""),
        ("x", "a", None, "../../keys"),
    ],
)
async def test_a_wish_that_makes_no_sense_is_rejected(
    desk: Desk, name: str, tenant: str, lifetime: int | None, id: str
) -> None:
    with pytest.raises(RejectedError):
        await desk.registry.create(
            name=name, role="viewer", tenant=tenant, lifetime=lifetime, id=id
        )
