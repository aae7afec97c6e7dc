"""What a call leaves behind: no secret that it was given."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from flunq.core.markers import Grant, marker, path_of, transformed
from flunq.sdk.concealing import MASK, CallSecrets, Concealer
from flunq.sdk.executor import TaskError
from flunq.sdk.secrets import MappingSecrets

GRANT = Grant(nonce="a" * 32, names=("token", "login"))
LOGIN = {"username": "ada", "password": 'p&ss w"rd', "scopes": ["read-all"]}
STORE = MappingSecrets({"token": "canary", "login": LOGIN, "hidden": "x" * 9, "pin": 1234})


def of(*keys: str) -> str:
    return marker(GRANT.nonce, path_of(list(keys)))


def test_revealed_texts_turn_back_into_their_markers() -> None:
    secrets = CallSecrets(STORE, GRANT)
    revealed = secrets.reveal({"a": f"Bearer {of('token')}", "b": of("login")})
    assert revealed == {"a": "Bearer canary", "b": LOGIN}
    clean = secrets.concealer.value({"canary": ["a canary!", {"x": LOGIN["password"]}], "n": 1})
    assert clean == {of("token"): [f"a {of('token')}!", {"x": of("login", "password")}], "n": 1}
    assert secrets.reveal(clean)["n"] == 1


def test_what_a_transformation_made_is_concealed_too() -> None:
    secrets = CallSecrets(STORE, GRANT)
    header = transformed(of("token"), "base64")
    encoded = secrets.reveal(header)
    assert encoded == b64encode(b"canary").decode()
    assert secrets.concealer.value(f"got {encoded}") == f"got {header}"


@pytest.mark.parametrize(
    "form", ['p&ss w"rd', "p%26ss%20w%22rd", "p%26ss+w%22rd", 'p&ss w\\"rd', "YWRhOnAmc3Mgd1wicmQ="]
)
def test_a_secret_of_a_policy_is_concealed_in_every_form(form: str) -> None:
    secrets = CallSecrets(STORE)
    assert secrets.resolve("login") == LOGIN
    text = form if not form.startswith("YWRh") else b64encode(b'ada:p&ss w"rd').decode()
    assert secrets.concealer.text(f"<{text}>") == f"<{MASK}>"


def test_what_is_no_secret_in_a_policy_stays() -> None:
    secrets = CallSecrets(STORE)
    secrets.resolve("login")
    assert secrets.concealer.value(["ada", "read-all"]) == ["ada", "read-all"]


def test_a_body_in_base64_is_looked_into() -> None:
    secrets = CallSecrets(STORE)
    secrets.resolve("token")
    body = b64encode(b'{"echo": "canary"}\xff').decode()
    clean = secrets.concealer.value(body)
    assert clean == b64encode(b'{"echo": "***"}\xff').decode()
    assert secrets.concealer.value("QUJDREVGR0g=") == "QUJDREVGR0g="


@pytest.mark.parametrize("path", [("hidden",), ("nowhere",), ("token", "x"), ("login", "nothing")])
def test_what_is_not_granted_or_not_there_is_an_authorization_error(path: Any) -> None:
    with pytest.raises(TaskError) as raised:
        CallSecrets(STORE, GRANT).reveal({"a": of(*path)})
    assert (raised.value.type.endswith("/authorization"), raised.value.status) == (True, 403)


def test_without_a_grant_nothing_is_revealed() -> None:
    assert CallSecrets(STORE).reveal(of("token")) == of("token")


def test_short_texts_and_numbers_are_left_alone() -> None:
    concealer = Concealer()
    concealer.add("abc")
    assert not concealer
    secrets = CallSecrets(STORE)
    secrets.resolve("pin")
    assert secrets.concealer.value({"pin": 1234}) == {"pin": 1234}


def test_longer_secrets_come_first() -> None:
    concealer = Concealer()
    concealer.add("abcd", "<short>")
    concealer.add("abcdef", "<long>")
    assert concealer.text("abcdef abcd") == "<long> <short>"


def test_a_call_can_conceal_what_it_obtained() -> None:
    told: list[str] = []
    secrets = CallSecrets(STORE, tell=told.append)
    secrets.conceal("a-token-of-its-own")
    assert secrets.concealer.text("x a-token-of-its-own") == f"x {MASK}"
    assert told == ["a-token-of-its-own"]
