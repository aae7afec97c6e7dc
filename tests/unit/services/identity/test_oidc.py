"""Tokens of somebody else's issuer, whose keys come from a real HTTP server."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from flunq.errors import UsageError
from flunq.services.identity import OidcSettings, TokenRefusedError, jws
from flunq.services.identity.oidc import FRESH, SPARED, STALE, Issuer, check_address
from tests.support.http_stub import Answer, HttpStub
from tests.unit.services.identity.conftest import NOW, HandClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
SHORT = rsa.generate_private_key(65537, 1024)


def number(value: int, size: int) -> str:
    return jws.encode(value.to_bytes(size))


def jwk(kid: str, key: Any) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {"kty": "RSA", "kid": kid, "n": number(numbers.n, 256), "e": "AQAB", "alg": "RS256"}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        x, y = number(point.x, 32), number(point.y, 32)
        return {"kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y, "use": "sig"}
    public = key.public_key().public_bytes_raw()
    return {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": jws.encode(public)}


def sign(key: Any, text: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)
    signed: bytes = key.sign(text)
    return signed


class World:
    """An issuer, what it signs, and the cluster that trusts it."""

    def __init__(self, stub: HttpStub) -> None:
        self.stub = stub
        self.url = f"{stub.url}/realm"
        self.clock = HandClock()
        settings = OidcSettings(
            issuer=self.url, audience="flunq", tenant_claim="org.name", role_claim="roles"
        )
        self.issuer = Issuer(settings, clock=self.clock)
        jwks = f"{self.url}/keys"
        stub.answer(
            "/realm/.well-known/openid-configuration",
            Answer(json={"issuer": self.url, "jwks_uri": jwks}),
        )

    def publish(self, *keys: dict[str, Any]) -> None:
        self.stub.answer("/realm/keys", Answer(json={"keys": list(keys)}))

    def claims(self, **changes: Any) -> dict[str, Any]:
        members = {
            "iss": self.url, "aud": ["flunq", "other"], "sub": "u-1", "exp": NOW + 60.5,
            "iat": NOW, "org": {"name": "shop"}, "roles": ["staff", "viewer", "operator"],
            "preferred_username": "ann", **changes,
        }  # fmt: skip
        return {name: value for name, value in members.items() if value is not ...}

    def token(self, algorithm: str, kid: str, key: Any, **changes: Any) -> jws.Unverified:
        text = jws.join({"alg": algorithm, "kid": kid}, self.claims(**changes))
        return jws.split(f"{text.decode()}.{jws.encode(sign(key, text))}")

    @property
    def fetches(self) -> int:
        return sum(request.path == "/realm/keys" for request in self.stub.requests)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with HttpStub() as stub:
        made = World(stub)
        made.publish(jwk("r", RSA), jwk("e", EC), jwk("d", ED), jwk("short", SHORT))
        yield made


@pytest.mark.parametrize(
    ("algorithm", "kid", "key"), [("RS256", "r", RSA), ("ES256", "e", EC), ("EdDSA", "d", ED)]
)
async def test_a_token_of_each_kind_says_who_asks(
    world: World, algorithm: str, kid: str, key: Any
) -> None:
    claims = await world.issuer.verify(world.token(algorithm, kid, key))
    principal = claims.principal()
    assert (principal.name, principal.tenant, principal.role) == ("ann", "shop", "operator")
    assert principal.token_id == "oidc:u-1"


@pytest.mark.parametrize(
    ("algorithm", "kid", "key"),
    [
        ("none", "r", RSA),
        ("HS256", "r", RSA),
        ("RS512", "r", RSA),
        ("PS256", "r", RSA),
        ("RS256", "e", EC),
        ("ES256", "r", RSA),
        ("EdDSA", "e", EC),
        ("ES256", "e", ec.generate_private_key(ec.SECP256R1())),
        ("RS256", "short", SHORT),
        ("RS256", "unknown", RSA),
    ],
)
async def test_a_key_is_used_with_its_own_algorithm_alone(
    world: World, algorithm: str, kid: str, key: Any
) -> None:
    with pytest.raises(TokenRefusedError):
        await world.issuer.verify(world.token(algorithm, kid, key))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example"},
        {"aud": "other"},
        {"aud": ...},
        {"aud": {"flunq": 1}},
        {"exp": NOW},
        {"exp": ...},
        {"exp": True},
        {"exp": "9999999999"},
        {"iat": NOW + 61},
        {"nbf": NOW + 61},
        {"sub": ...},
        {"sub": ""},
        {"org": "shop"},
        {"org": {"name": "../default"}},
        {"roles": ["staff"]},
        {"roles": "root"},
        {"roles": ...},
    ],
)
async def test_claims_that_do_not_fit_are_refused(world: World, changes: dict[str, Any]) -> None:
    with pytest.raises(TokenRefusedError):
        await world.issuer.verify(world.token("EdDSA", "d", ED, **changes))


async def test_keys_are_fetched_once_and_followed_when_they_change(world: World) -> None:
    for _ in range(3):
        await world.issuer.verify(world.token("EdDSA", "d", ED))
    assert world.fetches == 1
    world.publish(jwk("new", EC))
    world.clock.now += SPARED
    await world.issuer.verify(world.token("ES256", "new", EC))
    assert world.fetches == 2
    with pytest.raises(TokenRefusedError):
        await world.issuer.verify(world.token("EdDSA", "d", ED))


async def test_unknown_keys_do_not_make_the_issuer_busy(world: World) -> None:
    for number_ in range(20):
        with pytest.raises(TokenRefusedError):
            await world.issuer.verify(world.token("EdDSA", f"x{number_}", ED))
    assert world.fetches == 1


async def test_known_keys_outlive_an_issuer_that_is_away_but_not_for_ever(world: World) -> None:
    await world.issuer.verify(world.token("EdDSA", "d", ED))
    world.stub.answer("/realm/keys", Answer(503))
    world.clock.now += FRESH + 1
    late = {"exp": NOW + 2 * STALE}
    await world.issuer.verify(world.token("EdDSA", "d", ED, **late))
    world.clock.now += STALE
    with pytest.raises(TokenRefusedError):
        await world.issuer.verify(world.token("EdDSA", "d", ED, **late))


async def test_an_issuer_that_calls_itself_otherwise_is_not_believed(world: World) -> None:
    described = {"issuer": "https://other.example", "jwks_uri": f"{world.url}/keys"}
    world.stub.answer("/realm/.well-known/openid-configuration", Answer(json=described))
    with pytest.raises(TokenRefusedError):
        await world.issuer.verify(world.token("EdDSA", "d", ED))
    assert world.fetches == 0


async def test_keys_are_not_fetched_from_an_open_address(world: World) -> None:
    described = {"issuer": world.url, "jwks_uri": "http://example.com/keys"}
    world.stub.answer("/realm/.well-known/openid-configuration", Answer(json=described))
    with pytest.raises(TokenRefusedError):
        await world.issuer.verify(world.token("EdDSA", "d", ED))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "https://",
        "//x",
        "http://10.0.0.1",
    ],
)
def test_an_issuer_is_reached_by_https_or_on_this_machine(url: str) -> None:
    with pytest.raises(UsageError):
        check_address(url)


@pytest.mark.parametrize("url", ["https://id.example", "http://127.0.0.1:8", "http://[::1]:8/x"])
def test_these_addresses_are_fine(url: str) -> None:
    check_address(url)


def test_a_private_key_in_the_set_is_left_out() -> None:
    from flunq.services.identity.jwks import read_jwks

    found = read_jwks(msgspec.json.encode({"keys": [{**jwk("d", ED), "d": "x"}, {"kid": 1}, 7]}))
    assert found == {}
    with pytest.raises(ValueError, match="no set of keys"):
        read_jwks(base64.b64encode(b"x"))
