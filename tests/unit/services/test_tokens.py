from __future__ import annotations

import base64

import pytest

from flunq.services import tokens

KEY = tokens.new_key()


def test_a_token_grants_what_it_was_issued_for() -> None:
    token = tokens.issue(KEY, tenant="shop", role="viewer", now=1000)
    claims = tokens.verify(KEY, token, now=10**9)
    assert (claims.tenant, claims.role, claims.exp) == ("shop", "viewer", None)


def test_two_tokens_are_never_the_same() -> None:
    issued = {tokens.issue(KEY, tenant="a", role="admin", now=1) for _ in range(10)}
    assert len(issued) == 10


def test_a_token_ends_with_its_lifetime() -> None:
    token = tokens.issue(KEY, tenant="shop", role="viewer", now=1000, lifetime=60)
    assert tokens.verify(KEY, token, now=1059).exp == 1060
    with pytest.raises(tokens.TokenRefusedError, match="expired"):
        tokens.verify(KEY, token, now=1060)


def test_a_token_of_another_cluster_is_refused() -> None:
    token = tokens.issue(tokens.new_key(), tenant="shop", role="admin", now=1)
    with pytest.raises(tokens.TokenRefusedError, match="not issued"):
        tokens.verify(KEY, token, now=2)


def test_changed_claims_are_refused() -> None:
    head, _, signature = tokens.issue(KEY, tenant="a", role="viewer", now=1).split(".")
    forged = base64.urlsafe_b64encode(b'{"tenant":"a","role":"admin","jti":"x","iat":1}').decode()
    with pytest.raises(tokens.TokenRefusedError):
        tokens.verify(KEY, f"{head}.{forged.rstrip('=')}.{signature}", now=2)


def test_an_unsigned_token_is_refused() -> None:
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    body = tokens.issue(KEY, tenant="a", role="viewer", now=1).split(".")[1]
    with pytest.raises(tokens.TokenRefusedError):
        tokens.verify(KEY, f"{head}.{body}.", now=2)


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é.é.é", "a" * 5000])
def test_garbage_is_refused(token: str) -> None:
    with pytest.raises(tokens.TokenRefusedError):
        tokens.verify(KEY, token, now=1)
