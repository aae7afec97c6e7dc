"""The vault: what is kept, who can open it, what a node sees of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from flunq.errors import NotFoundError, RejectedError
from flunq.log.memory import MemoryBroker, MemoryDatabase
from flunq.log.select import StreamSettings
from flunq.sdk.executor import TaskError
from flunq.sdk.secrets import MappingSecrets
from flunq.services.clock import SystemClock
from flunq.services.vault import Vault, VaultSecrets, new_key, read_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.log.ports import Database

KEY = new_key()


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    async with MemoryDatabase(StreamSettings(url="memory://vault"), MemoryBroker()) as database:
        await database.ensure()
        yield database


def vault_of(database: Database, *, tenant: str = "default", key: str = KEY) -> Vault:
    return Vault(database.secrets, tenant, key, SystemClock())


@pytest.mark.parametrize("value", ["text", {"user": "u", "password": "p"}, 7, None])
async def test_what_is_kept_can_be_opened_with_the_same_key(database: Database, value: Any) -> None:
    await vault_of(database).put("api key", value)
    assert await vault_of(database).open() == {"api key": value}


async def test_values_do_not_stand_in_the_bucket(database: Database) -> None:
    await vault_of(database).put("api", "canary-value")
    [key] = await database.secrets.keys("")
    entry = await database.secrets.get(key)
    assert entry is not None
    assert b"canary" not in entry.value


async def test_another_key_opens_nothing(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await vault_of(database).put("api", "v")
    assert await vault_of(database, key=new_key()).open() == {}
    assert "api was kept under another key" in caplog.text


async def test_a_value_moved_to_another_name_cannot_be_opened(database: Database) -> None:
    await vault_of(database).put("low", "v")
    entry = await database.secrets.get("default.low")
    assert entry is not None
    await database.secrets.put("default.high", entry.value)
    assert await vault_of(database).open() == {"low": "v"}


async def test_tenants_do_not_see_each_other(database: Database) -> None:
    await vault_of(database, tenant="one").put("api", "v")
    assert await vault_of(database, tenant="two").names() == []


async def test_what_is_deleted_is_gone(database: Database) -> None:
    vault = vault_of(database)
    await vault.put("api", "v")
    await vault.delete("api")
    assert await vault.names() == []
    with pytest.raises(NotFoundError):
        await vault.delete("api")


async def test_without_a_key_nothing_can_be_kept(database: Database) -> None:
    with pytest.raises(RejectedError, match="no key"):
        await vault_of(database, key="").put("api", "v")


def test_a_damaged_key_is_refused_without_being_repeated() -> None:
    with pytest.raises(RejectedError) as caught:
        read_key("c2hvcnQ=")
    assert "c2hvcnQ" not in str(caught.value)


async def test_a_secret_may_not_be_huge(database: Database) -> None:
    with pytest.raises(RejectedError, match="65,536 bytes"):
        await vault_of(database).put("api", "x" * 70_000)


async def test_a_node_sees_the_vault_first_and_then_its_environment(database: Database) -> None:
    vault = vault_of(database)
    await vault.put("both", "from the vault")
    secrets = VaultSecrets(vault, MappingSecrets({"both": "other", "mine": "from here"}))
    await secrets.load()
    assert secrets.resolve("both") == "from the vault"
    assert secrets.resolve("mine") == "from here"
    with pytest.raises(TaskError) as caught:
        secrets.resolve("nothing")
    assert caught.value.status == 403
    assert "vault" not in repr(secrets)


async def test_news_that_comes_while_a_node_looks_is_not_missed(database: Database) -> None:
    vault = SlowVault(database)
    secrets = VaultSecrets(vault, MappingSecrets({}))
    secrets.refresh()
    await vault.read.wait()
    await vault.put("api", "v")
    secrets.refresh()
    vault.go_on.set()
    async with asyncio.timeout(10):
        while "api" not in secrets._values:
            await asyncio.sleep(0)
    assert secrets.resolve("api") == "v"


class SlowVault(Vault):
    """A vault in which something changes after it was read."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.secrets, "default", KEY, SystemClock())
        self.read, self.go_on = asyncio.Event(), asyncio.Event()

    async def open(self) -> dict[str, Any]:
        found = await super().open()
        self.read.set()
        await self.go_on.wait()
        return found
