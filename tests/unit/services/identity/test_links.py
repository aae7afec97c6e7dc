"""Links by which one person answers once: made, known again, used up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.core.access import CreateLink
from flunq.errors import ConflictError, NotFoundError, RejectedError
from flunq.log.memory import MemoryBroker, MemoryDatabase
from flunq.log.select import StreamSettings
from flunq.sdk.executor import TaskError
from flunq.sdk.secrets import MappingSecrets
from flunq.services.identity.links import (
    LINKS_NAME,
    PATH,
    ApprovalLinks,
    LinkEndedError,
    LinkSecrets,
    LinkSigner,
    own_links,
)
from flunq.services.identity.principal import TooManyRequestsError
from tests.unit.services.identity.conftest import HandClock

if TYPE_CHECKING:
    from flunq.log.ports import KeyValue

PROOF = "what the processes of this cluster know"
WISH = CreateLink(id="p1", task="/do/0/ask", step=5, lifetime=60)
YES = {"approved": True}


@pytest.fixture
async def bucket() -> KeyValue:
    database = MemoryDatabase(StreamSettings(), MemoryBroker())
    await database.ensure()
    return database.identity


def links_in(bucket: KeyValue, clock: HandClock, proof: str = PROOF) -> ApprovalLinks:
    links = ApprovalLinks(proof, clock=clock)
    links.open(bucket)
    return links


async def token_of(links: ApprovalLinks, wish: CreateLink = WISH) -> str:
    return (await links.create(wish, tenant="shop")).path.removeprefix(PATH)


@pytest.mark.parametrize("proof", [PROOF, ""], ids=["signed", "kept"])
async def test_a_link_is_known_again_until_its_time_is_over(bucket: KeyValue, proof: str) -> None:
    clock = HandClock()
    token = await token_of(links_in(bucket, clock, proof))
    beside = links_in(bucket, clock, proof)
    claims = await beside.read(token, remote="here")
    assert (claims.tenant, claims.execution, claims.task, claims.step) == (
        "shop", "p1", "/do/0/ask", 5,
    )  # fmt: skip
    assert claims.principal().name == f"link {claims.id}"
    assert claims.id not in token
    clock.now += 60
    with pytest.raises(LinkEndedError, match="time"):
        await beside.read(token, remote="here")


async def test_who_comes_with_a_used_link_is_known(bucket: KeyValue) -> None:
    links = links_in(bucket, HandClock())
    token = await token_of(links)
    claims = await links.read(token, remote="here")
    await links.take(claims, YES)
    await links.finish(claims)
    with pytest.raises(LinkEndedError) as refused:
        await links.read(token, remote="here")
    assert refused.value.claims == claims


@pytest.mark.parametrize("proof", [PROOF, ""], ids=["signed", "kept"])
async def test_no_other_spelling_is_a_link(bucket: KeyValue, proof: str) -> None:
    links = links_in(bucket, HandClock(), proof)
    token = await token_of(links)
    for number in range(len(token)):
        changed = "A" if token[number] != "A" else "B"
        with pytest.raises(NotFoundError):
            other = token[:number] + changed + token[number + 1 :]
            await links.read(other, remote=f"caller {number}")
    for wrong in ("", "s", "k", token[:-1], token + "A", token + "=", "s" * 3000, "\N{OCTOPUS}"):
        with pytest.raises(NotFoundError):
            await links.read(wrong, remote=wrong[:5])


async def test_a_link_of_another_cluster_is_unknown(bucket: KeyValue) -> None:
    token = await token_of(links_in(bucket, HandClock(), "another proof"))
    with pytest.raises(NotFoundError):
        await links_in(bucket, HandClock()).read(token, remote="here")


async def test_a_link_counts_for_one_answer(bucket: KeyValue) -> None:
    clock = HandClock()
    one, two = links_in(bucket, clock), links_in(bucket, clock)
    token = await token_of(one)
    claims = await one.read(token, remote="here")
    await one.take(claims, YES)
    with pytest.raises(ConflictError, match="on its way"):
        await two.take(claims, {"approved": False})
    await one.take(claims, YES)  # a repetition of the same goes on
    await one.finish(claims)
    with pytest.raises(LinkEndedError, match="used"):
        await two.read(token, remote="here")
    with pytest.raises(LinkEndedError, match="used"):
        await two.take(claims, YES)


async def test_what_the_cluster_refused_and_what_a_dead_process_began_may_be_tried_again(
    bucket: KeyValue,
) -> None:
    clock = HandClock()
    links = links_in(bucket, clock)
    claims = await links.read(
        await token_of(links, msgspec.structs.replace(WISH, lifetime=999)), remote=""
    )
    await links.release(claims, await links.take(claims, YES))
    await links.take(claims, {"approved": False})
    clock.now += 61
    assert await links.take(claims, YES) > 0


async def test_who_guesses_or_knocks_too_often_is_told_to_wait(bucket: KeyValue) -> None:
    links = links_in(bucket, HandClock())
    token = await token_of(links)
    with pytest.raises(TooManyRequestsError, match="unknown"):
        for number in range(40):
            with pytest.raises(NotFoundError):
                await links.read(f"s{number:040}", remote="there")
    with pytest.raises(TooManyRequestsError, match="too often"):
        for _ in range(40):
            await links.read(token, remote="there")


@pytest.mark.parametrize("lifetime", [0, -1, 367 * 86_400])
async def test_a_link_counts_for_a_time_that_makes_sense(bucket: KeyValue, lifetime: int) -> None:
    wish = msgspec.structs.replace(WISH, lifetime=lifetime)
    with pytest.raises(RejectedError, match="counts for"):
        await links_in(bucket, HandClock()).create(wish, tenant="shop")


@pytest.mark.parametrize("proof", [PROOF, ""], ids=["signed", "kept"])
async def test_nothing_is_kept_of_links_whose_time_is_over(bucket: KeyValue, proof: str) -> None:
    clock = HandClock()
    links = links_in(bucket, clock, proof)
    claims = await links.read(await token_of(links), remote="here")
    await links.finish(claims)
    await links.tidy()
    assert await bucket.keys("links/used/")
    clock.now += 61
    await links.tidy()
    assert await bucket.keys("links/") == []


async def test_an_execution_has_links_to_its_own_tasks(bucket: KeyValue) -> None:
    clock = HandClock()
    secrets = LinkSecrets(
        MappingSecrets({"key": "v"}),
        lambda execution: own_links(LinkSigner(PROOF), "shop", execution, clock.now),
        "p9",
    )
    made = secrets.resolve(LINKS_NAME)
    assert "ask" in made and made["ask"] == made["ask"]
    token = made["ask"].removeprefix(PATH)
    claims = await links_in(bucket, clock).read(token, remote="here")
    assert (claims.tenant, claims.execution, claims.task) == ("shop", "p9", "ask")
    assert secrets.resolve("key") == "v"
    with pytest.raises(TaskError, match="unknown"):
        secrets.resolve("other")


def test_a_secret_of_that_name_is_not_hidden() -> None:
    secrets = LinkSecrets(MappingSecrets({LINKS_NAME: "mine"}), lambda _: {}, "e1")
    assert secrets.resolve(LINKS_NAME) == "mine"
