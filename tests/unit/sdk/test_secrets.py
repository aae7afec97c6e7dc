from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flunq.errors import UsageError
from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.secrets import EnvironmentSecrets, MappingSecrets, Secrets, read_secrets

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "value"), [("plain", "plain"), ('{"username":"a"}', {"username": "a"})]
)
def test_a_secret_comes_from_a_variable(text: str, value: object) -> None:
    secrets = EnvironmentSecrets({"FLUNQ_SECRET_MY_KEY_2": text})
    assert secrets.resolve("my-key.2") == value


@pytest.mark.parametrize("secrets", [EnvironmentSecrets({}), MappingSecrets({})])
def test_an_unknown_secret_is_an_authorization_error(secrets: Secrets) -> None:
    with pytest.raises(TaskError) as caught:
        secrets.resolve("nobody")
    assert (caught.value.type, caught.value.status) == (f"{ERRORS}authorization", 403)


@pytest.mark.parametrize(("name", "text"), [("s.json", '{"a": {"b": 1}}'), ("s.yaml", "a: {b: 1}")])
def test_secrets_come_from_a_file(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert read_secrets(path).resolve("a") == {"b": 1}


def test_a_broken_file_is_refused_without_quoting_it(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text('["hunter2"]')
    with pytest.raises(UsageError) as caught:
        read_secrets(path)
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_secrets(tmp_path / "none.json")


def test_secrets_do_not_show_in_a_log() -> None:
    assert repr(MappingSecrets({"a": "hunter2"})) == "MappingSecrets(1 secrets)"
