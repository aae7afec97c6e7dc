"""Which cluster a client talks to, and what it says when there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flunq.client.connecting import connect, find_target
from flunq.config import load
from flunq.contexts import Context, ContextStore
from flunq.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from flunq.config import Loaded

URL = "nats://127.0.0.1:1"


def loaded_from(home: Path, environ: dict[str, str] | None = None) -> Loaded:
    return load(environ=environ or {}, directory=home, store=ContextStore(home))


@pytest.fixture
def selected(tmp_path: Path) -> Path:
    store = ContextStore(tmp_path)
    store.save(Context(name="local", nats_url=URL, user="client", password="secret", tenant="blue"))
    store.select("local")
    return tmp_path


def test_the_selected_context_says_where_and_as_whom(selected: Path) -> None:
    target = find_target(loaded_from(selected), environ={})
    assert (target.url, target.user, target.password) == (URL, "client", "secret")
    assert (target.tenant, target.context) == ("blue", "local")
    assert target.where == f"{URL}, context local"
    assert "secret" not in repr(target)


def test_another_address_does_not_get_the_contexts_password(selected: Path) -> None:
    loaded = loaded_from(selected, {"FLUNQ_NATS_URL": "nats://elsewhere:4222"})
    target = find_target(loaded, environ={"FLUNQ_NATS_USER": "me", "FLUNQ_NATS_PASSWORD": "mine"})
    assert (target.url, target.context) == ("nats://elsewhere:4222", None)
    assert (target.user, target.password) == ("me", "mine")


def test_arguments_win_and_get_nothing_of_the_context(selected: Path) -> None:
    target = find_target(loaded_from(selected), url="nats://u:p%40@h:1", tenant="red", environ={})
    assert (target.url, target.user, target.password) == ("nats://h:1", "u", "p@")
    assert (target.tenant, target.context) == ("red", None)


def test_without_a_context_the_hint_is_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        find_target(loaded_from(tmp_path), environ={})
    assert caught.value.hint == "start one with: flunq up"


async def test_nobody_there_names_address_and_context(selected: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        async with connect(loaded_from(selected)):
            pytest.fail("it connected to nothing")
    assert caught.value.details["where"] == f"{URL}, context local"
    assert caught.value.exit_code == 6
