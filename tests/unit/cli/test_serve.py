"""The settings of a service that is started by itself."""

from __future__ import annotations

import pytest

from flunq.cli.commands.serve import SECRETS_KEY_VARIABLE, secrets_key
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
