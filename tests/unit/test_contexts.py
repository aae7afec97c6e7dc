"""Contexts on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flunq.contexts import Context, ContextStore
from flunq.errors import NotFoundError, RejectedError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> ContextStore:
    return ContextStore(tmp_path)


def test_a_context_reads_back_as_it_was_saved(store: ContextStore) -> None:
    nasty = 'quote " backslash \\ tab \t del \x7f é'
    context = Context(name="a.b-c_1", token=nasty, api_url="https://x", production=True)
    store.save(context)
    assert store.get("a.b-c_1") == context


def test_a_file_is_for_its_owner_only(store: ContextStore, tmp_path: Path) -> None:
    store.save(Context(name="a", token="secret"))
    assert (tmp_path / "contexts" / "a.toml").stat().st_mode & 0o777 == 0o600


def test_all_contexts_are_sorted_by_name(store: ContextStore) -> None:
    for name in ("b", "a", "c"):
        store.save(Context(name=name))
    assert [context.name for context in store.all()] == ["a", "b", "c"]


def test_dash_goes_back_and_forth(store: ContextStore) -> None:
    for name in ("a", "b"):
        store.save(Context(name=name))
        store.select(name)
    assert [store.select("-").name for _ in range(3)] == ["a", "b", "a"]


def test_without_a_previous_context_there_is_no_going_back(store: ContextStore) -> None:
    with pytest.raises(UsageError, match="no previous context"):
        store.select("-")


def test_a_deleted_context_is_no_longer_selected(store: ContextStore) -> None:
    store.save(Context(name="a"))
    store.select("a")
    store.delete("a")
    assert store.selected() is None
    with pytest.raises(NotFoundError):
        store.delete("a")


def test_a_typo_is_told(store: ContextStore) -> None:
    store.save(Context(name="production"))
    with pytest.raises(NotFoundError) as caught:
        store.get("prodction")
    assert caught.value.hint == "did you mean production?"


@pytest.mark.parametrize("name", ["..", "a/b", "", "é", "x" * 129, "a b"])
def test_a_name_cannot_leave_the_folder(name: str, store: ContextStore) -> None:
    with pytest.raises(UsageError):
        store.save(Context(name=name))


def test_an_unknown_key_names_file_and_nearest_match(store: ContextStore, tmp_path: Path) -> None:
    store.save(Context(name="a"))
    (tmp_path / "contexts" / "a.toml").write_text('api_uri = "x"\n')
    with pytest.raises(RejectedError) as caught:
        store.get("a")
    assert caught.value.hint == "did you mean api_url for api_uri?"
    assert caught.value.details["where"].endswith("a.toml")


def test_secrets_are_never_shown() -> None:
    shown = Context(name="a", token="t0ken", password="pa55").redacted()
    assert (shown["token"], shown["password"], shown["user"]) == ("***", "***", None)


def test_tenants_follow_the_address_of_their_cluster(store: ContextStore) -> None:
    store.save(Context(name="local-acme", nats_url="nats://h:1", user="acme", follows="/data"))
    store.save(Context(name="other", nats_url="nats://h:1", follows="/elsewhere"))
    moved = {"nats_url": "tls://h:2", "api_url": "https://h:3", "ca": "/data/certs/ca.pem"}
    store.save_cluster(Context(name="local", data_dir="/data", **moved))  # type: ignore[arg-type]
    wanted = Context(name="local-acme", user="acme", follows="/data", **moved)  # type: ignore[arg-type]
    assert store.get("local-acme") == wanted
    assert store.get("other").nats_url == "nats://h:1"
