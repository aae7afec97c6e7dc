"""Tenants of one cluster: they come and go, have what they may have, and see nothing of others."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import nats
import pytest

from flunq.client.client import Client
from flunq.core.ids import partition_of
from flunq.core.protocol import GetBlob, PutBlob, catalog_subject
from flunq.core.tenancy import CREATING, DELETING, Quotas, TenantRecord, nats_user
from flunq.errors import (
    ConflictError,
    ExecutionFailedError,
    NotFoundError,
    QuotaExceededError,
    RejectedError,
)
from flunq.log.nats import NatsDatabase, NatsEventStream
from flunq.log.ports import BY_HEADER
from flunq.services.control import ControlSettings
from flunq.services.supervising.secrets import load_secrets
from flunq.services.tenants.clients import TenantClients
from flunq.services.tenants.records import TenantRecords
from tests.support.canary import files_with
from tests.support.processes import running_cluster
from tests.support.reading import close, next_within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flunq.client.tenants import Tenants
    from tests.support.processes import Cluster

pytestmark = pytest.mark.timeout(120)
HEAD = "document: {dsl: 1.0.3, namespace: test, name: %s, version: 1.0.0}\n"
SAY = HEAD % "say" + "do: [{say: {set: {said: '${ .word }'}}}]"
PAUSE = HEAD % "pause" + "do: [{rest: {wait: {minutes: 5}}}]"
NAP = HEAD % "nap" + "do: [{rest: {wait: {seconds: 2}}}, {say: {set: {up: true}}}]"
LISTEN = HEAD % "listen" + "do: [{hear: {listen: {to: {one: {with: {type: com.example.news}}}}}}]"
ASK = (
    HEAD % "ask"
    + "use: {secrets: [word]}\ndo: [{tell: {call: echo, with: {value: '${ $secrets.word }'}}}]"
)
FUNCTIONS = """
import flunq


@flunq.function("echo")
async def echo(value: str) -> dict:
    return {"length": len(value)}
"""


@asynccontextmanager
async def acting(cluster: Cluster, tenant: str, *, of: str | None = None) -> AsyncIterator[Client]:
    """Act for a tenant, with its own user or with that of another."""
    secrets = load_secrets(cluster.supervisor.directory.credentials, tenant="default").nats
    name = of or tenant
    settings = msgspec.structs.replace(
        cluster.settings(),
        tenant=tenant,
        user=nats_user(name),
        password=secrets.tenants[name],
        name=f"test-{tenant}-{name}",
    )
    async with Client(NatsEventStream(settings), tenant=tenant) as client:
        yield client


@asynccontextmanager
async def shared_cluster(data: Path, **options: Any) -> AsyncIterator[tuple[Cluster, Tenants]]:
    """Run a cluster with the tenants acme and beta."""
    async with running_cluster(data, **options) as cluster, cluster.client() as admin:
        for name in ("acme", "beta"):
            await admin.tenants.create(name, partitions=2)
        yield cluster, admin.tenants


async def test_the_same_names_and_ids_mean_different_things_to_different_tenants(
    tmp_path: Path,
) -> None:
    async with shared_cluster(tmp_path) as (cluster, _):
        for tenant in ("acme", "beta"):
            async with acting(cluster, tenant) as client:
                await client.apply(SAY)
                run = await client.start("say", {"word": tenant}, id="x1")
                assert (await run.result(timeout=20)) == {"said": tenant}
        async with acting(cluster, "acme") as client:
            assert (await client.get("x1")).input == {"word": "acme"}
            assert [each.id for each in await client.list()] == ["x1"]
            events = [event async for event in client.history("x1")]
            assert {event.tenant for event in events} == {"acme"}
        async with cluster.client() as client:
            assert await client.list() == []
            assert await client.workflows() == []


async def test_an_event_of_one_tenant_wakes_nobody_of_another(tmp_path: Path) -> None:
    def news(of: str) -> list[dict[str, Any]]:
        return [{"type": "com.example.news", "source": "t", "id": of, "data": {"of": of}}]

    async with (
        shared_cluster(tmp_path) as (cluster, _),
        acting(cluster, "acme") as acme,
        acting(cluster, "beta") as beta,
    ):
        await beta.apply(LISTEN)
        run = await beta.start("listen", {})
        async for event in beta.follow(run.id):
            if "listen" in event.type or "waiting" in event.type or event.seq >= 3:
                break
        await acme.emit(news("acme"))
        await beta.emit(news("beta"))
        assert await run.result(timeout=20) == [{"of": "beta"}]


async def test_large_values_and_secrets_of_another_tenant_cannot_be_named(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(FUNCTIONS)
    changes = {
        "functions": (str(tmp_path / "f.py"),),
        "environment": {"FLUNQ_SECRET_WORD": "of the default tenant"},
    }
    async with (
        shared_cluster(tmp_path / "data", **changes) as (cluster, _),
        acting(cluster, "acme") as acme,
        acting(cluster, "beta") as beta,
    ):
        put = PutBlob(key="mine", piece=b"acme's", number=0, last=True)
        await acme._ask_raw(catalog_subject("acme"), put)
        assert b"size" in await acme._ask_raw(
            catalog_subject("acme"), GetBlob(key="mine", offset=0)
        )
        with pytest.raises(NotFoundError):
            await beta._ask_raw(catalog_subject("beta"), GetBlob(key="mine", offset=0))
        await acme.put_secret("word", "four")
        assert await beta.secrets() == []
        for client in (acme, beta):
            await client.apply(ASK)
        assert await (await acme.start("ask", {})).result(timeout=20) == {"length": 4}
        with pytest.raises(ExecutionFailedError):
            await (await beta.start("ask", {})).result(timeout=20)


PUBLISH = [
    "flunq.start.beta.0",
    "flunq.ask.beta.catalog",
    "flunq.ask.beta.sql",
    "flunq.inbox.beta.0.ext",
    "flunq.inbox.acme.0.ext",
    "flunq.inbox.acme.0.eng",
    "flunq.evt.beta.ext.news",
    "flunq.evt.acme.ext.news",
    "flunq.evt.acme.eng.news",
    "flunq.journal.acme.0",
    "flunq.report.acme.0",
    "flunq.admin.cluster",
    "flunq.node.tenants",
    "flunq.node.catalog.acme",
    "$JS.API.STREAM.INFO.FLUNQ_ACME_JOURNAL",
    "$JS.API.STREAM.DELETE.FLUNQ_BETA_JOURNAL",
    "$KV.flunq_tenants.acme",
    "$O.flunq_blobs_BETA.C.x",
    "_INBOX_engine.x",
    "_INBOX_tenant.beta.x",
]
SUBSCRIBE = [
    ">",
    "flunq.>",
    "flunq.feed.*.*",
    "flunq.feed.beta.>",
    "flunq.start.acme.0",
    "flunq.ask.acme.catalog",
    "flunq.journal.acme.0",
    "_INBOX_tenant.>",
    "_INBOX_tenant.beta.>",
    "_INBOX_engine.>",
    "$SYS.>",
]


async def test_the_user_of_a_tenant_may_say_and_hear_nothing_else(tmp_path: Path) -> None:
    refused: list[str] = []

    async def note(error: Exception) -> None:
        refused.append(str(error).lower())

    async with shared_cluster(tmp_path) as (cluster, _):
        secrets = load_secrets(cluster.supervisor.directory.credentials, tenant="default").nats
        connection = await nats.connect(
            cluster.settings().url,
            user=nats_user("acme"),
            password=secrets.tenants["acme"],
            error_cb=note,
        )
        for subject in SUBSCRIBE:
            await connection.subscribe(subject)
        for subject in PUBLISH:
            await connection.publish(subject, b"{}")
        await connection.flush()
        async with asyncio.timeout(10):
            while len(refused) < len(PUBLISH) + len(SUBSCRIBE):
                await asyncio.sleep(0.01)
        await connection.close()
        for verb, subjects in (("publish", PUBLISH), ("subscription", SUBSCRIBE)):
            for subject in subjects:
                assert any(f'{verb} to "{subject.lower()}"' in line for line in refused), subject


async def test_a_start_of_a_tenant_outlives_the_absence_of_owners(tmp_path: Path) -> None:
    async with shared_cluster(tmp_path) as (cluster, _), acting(cluster, "acme") as acme:
        await acme.apply(SAY)
        await acme.info()
        settings = msgspec.structs.replace(cluster.settings("engine"), tenant="acme")
        async with NatsEventStream(settings) as engine, cluster.stopped("node-1"):
            inputs = engine.inbox.read(partition_of("x1", 2), after=0)
            starting = asyncio.create_task(acme.start("say", {"word": "later"}, id="x1"))
            [record, *_] = await next_within(inputs)
            await close(inputs)
        assert record.external
        assert record.headers[BY_HEADER].split()[0] == nats_user("acme")
        assert await (await starting).result(timeout=20) == {"said": "later"}


async def test_the_user_of_one_tenant_cannot_act_for_another(tmp_path: Path) -> None:
    async with shared_cluster(tmp_path) as (cluster, _):
        for tenant in ("beta", "default"):
            async with acting(cluster, tenant, of="acme") as client:
                with pytest.raises(RejectedError, match=tenant):
                    await client.info()
        async with acting(cluster, "acme") as client:
            with pytest.raises(RejectedError, match="administrator"):
                await client.tenants.list()


async def test_quotas_hold_and_can_be_changed(tmp_path: Path) -> None:
    async with (
        shared_cluster(tmp_path) as (cluster, tenants),
        acting(cluster, "acme") as acme,
        acting(cluster, "beta") as beta,
    ):
        await tenants.update("acme", quotas={"executions": 2})
        for client in (acme, beta):
            await client.apply(PAUSE)
        started = []
        with pytest.raises(QuotaExceededError):
            for number in range(50):
                started.append(await acme.start("pause", {}, id=f"p{number}"))
        assert len(started) >= 2
        again = await acme.start("pause", {}, id="p0")
        assert not again.created
        for number in range(5):
            await beta.start("pause", {}, id=f"p{number}")
        view = await tenants.show("acme")
        assert (view.use.executions, view.tenant.quotas) == (len(started), Quotas(executions=2))
        await tenants.update("acme", quotas={"executions": None})
        async with asyncio.timeout(20):
            while True:
                try:
                    await acme.start("pause", {}, id="last")
                    break
                except QuotaExceededError:
                    await asyncio.sleep(0.05)


async def test_a_tenant_that_was_half_made_is_finished(tmp_path: Path) -> None:
    async with (
        running_cluster(tmp_path) as cluster,
        cluster.client() as admin,
        NatsDatabase(cluster.settings("engine")) as store,
    ):
        # As a control process leaves it that is killed after its first step.
        half = TenantRecord(name="half", partitions=2, state=CREATING)
        await TenantRecords(store.tenants).add(half)
        cluster.kill("control")
        await cluster.restarted("control")
        async with asyncio.timeout(30):
            while (await admin.tenants.show("half")).tenant.state == CREATING:
                await asyncio.sleep(0.05)
        with pytest.raises(ConflictError):
            await admin.tenants.create("half")
        async with acting(cluster, "half") as client:
            assert (await client.info()).partitions == 2


async def test_a_deleted_tenant_leaves_nothing_behind(tmp_path: Path) -> None:
    canary = "c4n4ry-0f-acme"
    async with shared_cluster(tmp_path) as (cluster, tenants):
        async with acting(cluster, "acme") as client:
            await client.apply(SAY.replace("1.0.0", f"1.0.0-{canary}"))
            big = {"word": canary * 40_000}
            await (await client.start("say", big, id="big")).result(timeout=20)
            await client.start("say", {"word": canary}, id=canary)
            await client.put_secret(canary, canary)
            await client.emit([{"type": "com.example.x", "source": canary, "id": canary}])
            await client.archive.flush()
        assert files_with(tmp_path, canary.encode())
        gone = await tenants.delete("acme")
        assert gone.archive
        with pytest.raises(NotFoundError):
            await tenants.show("acme")
        async with NatsDatabase(cluster.settings("engine")) as store:
            for bucket in (store.definitions, store.state, store.secrets, store.tenants):
                assert not [key for key in await bucket.keys() if "acme" in key]
        assert files_with(tmp_path, canary.encode()) == []
        async with acting(cluster, "beta") as client:
            assert (await client.info()).tenant == "beta"


async def test_deleting_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    async with (
        shared_cluster(tmp_path) as (cluster, tenants),
        NatsDatabase(cluster.settings("engine")) as store,
    ):
        records = TenantRecords(store.tenants)
        await records.change("acme", lambda r: msgspec.structs.replace(r, state=DELETING))
        cluster.kill("control")
        await cluster.restarted("control")
        async with asyncio.timeout(40):
            while await records.find("acme") is not None:
                await asyncio.sleep(0.05)
        assert {each.name for each in await tenants.list()} == {"default", "beta"}
        with pytest.raises(ConflictError):
            await tenants.delete("default")


async def both_have(tenants: Tenants, names: set[str]) -> bool:
    """Tell whether each of two nodes works for some tenants."""
    nodes = {node.name: node for node in await tenants.nodes()}
    assert set(nodes) == {"node-1", "node-2"}
    return all(names <= set(node.tenants) for node in nodes.values())


async def test_another_node_takes_every_tenant_over(tmp_path: Path) -> None:
    async with (
        shared_cluster(tmp_path, workers=2) as (cluster, tenants),
        acting(cluster, "acme") as acme,
    ):
        await acme.apply(NAP)
        runs = [await acme.start("nap", {}) for _ in range(10)]
        # A node hears of a new tenant after the tenant is there.
        async with asyncio.timeout(40):
            while not await both_have(tenants, {"acme", "beta", "default"}):
                await asyncio.sleep(0.05)
        cluster.kill("node-1")
        for run in runs:
            assert await run.result(timeout=60) == {"up": True}


async def test_the_clients_of_a_process_are_one_per_tenant(tmp_path: Path) -> None:
    async with shared_cluster(tmp_path) as (cluster, _):
        own = cluster.settings()
        settings = ControlSettings(nats_url=own.url, user=own.user, password=own.password)
        async with TenantClients(settings, most=2) as clients:
            acme, again = await asyncio.gather(clients.get("acme"), clients.get("acme"))
            assert acme is again
            assert (await acme.info()).tenant == "acme"
            assert (await (await clients.get("beta")).info()).tenant == "beta"
            assert (await (await clients.get("default")).info()).tenant == "default"
            assert await clients.get("acme") is not acme
