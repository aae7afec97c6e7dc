"""The settings of a service that is started by itself."""

from __future__ import annotations

import pytest

from flunq.cli.commands.serve import (
    CLUSTER_KEY_VARIABLE,
    SECRETS_KEY_VARIABLE,
    SHORTEST_CLUSTER_KEY,
    cluster_key,
    secrets_key,
)
from flunq.errors import UsageError
from flunq.services.vault import new_key


def test_the_key_of_the_vault_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRETS_KEY_VARIABLE, raising=False)
    assert secrets_key() is None
    key = new_key()
    monkeypatch.setenv(SECRETS_KEY_VARIABLE, key)
    assert secrets_key() == key


def test_a_damaged_key_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRETS_KEY_VARIABLE, "canary")
    with pytest.raises(UsageError, match=r"FLUNQ_SECRETS_KEY: .* damaged") as caught:
        secrets_key()
    assert "canary" not in str(caught.value.problem())


def test_a_key_of_tokens_that_could_be_guessed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CLUSTER_KEY_VARIABLE, raising=False)
    assert cluster_key() is None
    monkeypatch.setenv(CLUSTER_KEY_VARIABLE, "x" * SHORTEST_CLUSTER_KEY)
    assert cluster_key() == "x" * SHORTEST_CLUSTER_KEY
    monkeypatch.setenv(CLUSTER_KEY_VARIABLE, "canary")
    with pytest.raises(UsageError, match="FLUNQ_TOKEN_KEY is too short") as caught:
        cluster_key()
    assert "canary" not in str(caught.value.problem())
