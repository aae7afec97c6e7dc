"""Tokens that somebody made up: each way in is a row of the table."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest

from flunq.services.identity import TokenRefusedError, keys
from tests.unit.services.identity.conftest import CLUSTER_KEY, NOW, Desk

if TYPE_CHECKING:
    from collections.abc import Callable

    Forge = Callable[[str], str]

SIGNER = keys.first_signer(CLUSTER_KEY)
ISSUER = keys.cluster_id(CLUSTER_KEY)
MIB = 1024 * 1024


def b64(data: bytes | str | dict[str, Any]) -> str:
    raw = json.dumps(data) if isinstance(data, dict) else data
    encoded = raw.encode() if isinstance(raw, str) else raw
    return base64.urlsafe_b64encode(encoded).rstrip(b"=").decode()


def header(**changes: Any) -> dict[str, Any]:
    members = {"alg": "EdDSA", "typ": "JWT", "kid": SIGNER.key_id, **changes}
    return {name: value for name, value in members.items() if value is not ...}


def claims(**changes: Any) -> dict[str, Any]:
    members = {
        "iss": ISSUER, "tenant": "shop", "role": "admin", "name": "eve", "jti": "e1",
        "iat": int(NOW), "nbf": int(NOW), "exp": int(NOW) + 60, **changes,
    }  # fmt: skip
    return {name: value for name, value in members.items() if value is not ...}


def signed(head: dict[str, Any] | str, body: dict[str, Any] | str | bytes) -> str:
    """Sign with the genuine key: what is wrong is the content alone."""
    text = f"{b64(head)}.{b64(body)}"
    return f"{text}.{b64(SIGNER._private.sign(text.encode()))}"


def part(token: str, number: int, change: Callable[[str], str]) -> str:
    parts = token.split(".")
    parts[number] = change(parts[number])
    return ".".join(parts)


def hs256(secret: bytes) -> str:
    text = f"{b64(header(alg='HS256'))}.{b64(claims())}"
    return f"{text}.{b64(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def other_spelling(text: str) -> str:
    """Change bits of the last character that no byte comes from: another text, the same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) | 1]


STRANGER = keys.new_signer()
ATTACKS: dict[str, Forge] = {
    "no algorithm and no signature": lambda t: f"{b64(header(alg='none'))}.{t.split('.')[1]}.",
    "none with the genuine signature": lambda t: part(t, 0, lambda _: b64(header(alg="none"))),
    "None in other letters": lambda _: signed(header(alg="nOnE"), claims()),
    "HS256 keyed with the public key": lambda _: hs256(SIGNER.public),
    "HS256 keyed with its text": lambda _: hs256(b64(SIGNER.public).encode()),
    "HS256 said, genuinely signed": lambda _: signed(header(alg="HS256"), claims()),
    "RS256 said, genuinely signed": lambda _: signed(header(alg="RS256"), claims()),
    "lower case algorithm": lambda _: signed(header(alg="eddsa"), claims()),
    "algorithm is a list": lambda _: signed(header(alg=["EdDSA"]), claims()),
    "no algorithm": lambda _: signed(header(alg=...), claims()),
    "another key, our key id": lambda _: _stranger(SIGNER.key_id),
    "another key, its own id": lambda _: _stranger(STRANGER.key_id),
    "key id climbs": lambda _: signed(header(kid="../../etc/passwd"), claims()),
    "key id is a device": lambda _: signed(header(kid="/dev/null"), claims()),
    "key id is a query": lambda _: signed(header(kid="' OR 1=1 --"), claims()),
    "key id is a wildcard": lambda _: signed(header(kid="*"), claims()),
    "key id is empty": lambda _: signed(header(kid=""), claims()),
    "key id is a number": lambda _: signed(header(kid=1), claims()),
    "no key id": lambda _: signed(header(kid=...), claims()),
    "brings its own key": lambda _: signed(header(jwk={"kty": "OKP"}), claims()),
    "names where its key is": lambda _: signed(header(jku="https://evil.example/"), claims()),
    "brings a certificate": lambda _: signed(header(x5c=["MII"]), claims()),
    "critical extension": lambda _: signed(header(crit=["exp"]), claims()),
    "unencoded payload": lambda _: signed(header(b64=False), claims()),
    "another type": lambda _: signed(header(typ="JWE"), claims()),
    "algorithm twice": lambda _: signed(
        f'{{"alg":"none","alg":"EdDSA","kid":"{SIGNER.key_id}"}}', claims()
    ),
    "role twice": lambda _: signed(header(), json.dumps(claims())[:-1] + ',"role":"viewer"}'),
    "changed claims": lambda t: part(t, 1, lambda _: b64(claims())),
    "changed signature": lambda t: part(t, 2, lambda s: ("B" if s[0] != "B" else "C") + s[1:]),
    "cut signature": lambda t: t[:-4],
    "no signature": lambda t: part(t, 2, lambda _: ""),
    "signature of zeros": lambda t: part(t, 2, lambda _: b64(bytes(64))),
    "signature twice": lambda t: f"{t}.{t.split('.')[2]}",
    "signature in another spelling": lambda t: part(t, 2, other_spelling),
    "signature with padding": lambda t: f"{t}==",
    "standard base64": lambda t: part(t, 1, lambda s: f"{s[:-1]}+"),
    "line break inside": lambda t: part(t, 1, lambda s: f"{s[:9]}\n{s[9:]}"),
    "space before": lambda t: f" {t}",
    "space behind": lambda t: f"{t} ",
    "zero byte": lambda t: f"{t}\0",
    "not ASCII": lambda t: part(t, 0, lambda s: f"{s}é"),
    "lone surrogate": lambda t: f"{t}\ud800",
    "huge": lambda t: t + "A" * MIB,
    "huge header": lambda _: signed(header(x="A" * 4000), claims()),
    "deep header": lambda t: part(t, 0, lambda _: b64("[" * 2000)),
    "deep claims": lambda _: signed(header(), "[" * 8000),
    "claims are a list": lambda _: signed(header(), "[]"),
    "claims are no JSON": lambda _: signed(header(), "{"),
    "claims are no UTF-8": lambda _: signed(header(), b'{"\xff":1}'),
    "another cluster": lambda _: signed(header(), claims(iss="flunq:other")),
    "no issuer": lambda _: signed(header(), claims(iss=...)),
    "no tenant": lambda _: signed(header(), claims(tenant=...)),
    "tenant climbs": lambda _: signed(header(), claims(tenant="../default")),
    "tenant is a wildcard": lambda _: signed(header(), claims(tenant="*")),
    "tenant is a list": lambda _: signed(header(), claims(tenant=["shop", "default"])),
    "unknown role": lambda _: signed(header(), claims(role="root")),
    "role in capitals": lambda _: signed(header(), claims(role="ADMIN")),
    "no id": lambda _: signed(header(), claims(jti=...)),
    "empty id": lambda _: signed(header(), claims(jti="")),
    "expired": lambda _: signed(header(), claims(exp=int(NOW))),
    "expires as text": lambda _: signed(header(), claims(exp=str(int(NOW) + 60))),
    "expires at NaN": lambda _: signed(header(), json.dumps(claims(exp=float("nan")))),
    "expires never": lambda _: signed(header(), json.dumps(claims(exp=float("inf")))),
    "expires beyond all time": lambda _: signed(header(), claims(exp=10**30)),
    "expires before all time": lambda _: signed(header(), claims(exp=-1)),
    "issued in the future": lambda _: signed(header(), claims(iat=int(NOW) + 61)),
    "valid in the future": lambda _: signed(header(), claims(nbf=int(NOW) + 61)),
    "no moment of issue": lambda _: signed(header(), claims(iat=...)),
    "nothing": lambda _: "",
    "dots": lambda _: "..",
    "words": lambda _: "a.b.c",
}  # fmt: skip


def _stranger(key_id: str) -> str:
    text = f"{b64(header(kid=key_id))}.{b64(claims())}"
    return f"{text}.{b64(STRANGER._private.sign(text.encode()))}"


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_forged_token_is_refused(desk: Desk, attack: str) -> None:
    forged = ATTACKS[attack](await desk.token())
    with pytest.raises(TokenRefusedError):
        await desk.gate.principal(f"Bearer {forged}", remote="10.0.0.1")


async def test_the_forge_can_make_a_token_that_passes(desk: Desk) -> None:
    """Otherwise the table would prove nothing."""
    made = signed(header(), claims())
    principal = await desk.gate.principal(f"Bearer {made}", remote="10.0.0.1")
    assert (principal.name, principal.role, principal.tenant) == ("eve", "admin", "shop")


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Basic YTpi", "{token}", "Token {token}", "Bearer  {token}"],
)
async def test_only_a_bearer_header_lets_in(desk: Desk, authorization: str | None) -> None:
    given = authorization and authorization.replace("{token}", await desk.token())
    with pytest.raises(TokenRefusedError):
        await desk.gate.principal(given, remote="10.0.0.1")
