from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.web import oauth2
from flunq.sdk.web.authentication import credentials
from flunq.sdk.web.client import Outgoing, parse_url
from tests.support.http_stub import Answer, HttpStub, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.sdk.context import TaskContext
    from flunq.sdk.web.client import HttpClient

ISSUED = {"access_token": "a-1", "token_type": "Bearer", "expires_in": 3600}
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


class Authority:
    """A token endpoint, and the policy that asks it."""

    def __init__(self, stub: HttpStub, context: TaskContext, client: HttpClient) -> None:
        self.stub = stub
        self.context = context
        self.client = client
        self.members: dict[str, Any] = {
            "authority": stub.url,
            "grant": "client_credentials",
            "client": {"id": "me", "secret": "my secret"},
        }
        self.answer(Answer(json=ISSUED))

    def answer(self, *answers: Answer, path: str = "/oauth2/token") -> None:
        self.stub.answer(path, *answers)

    async def token(self, scheme: str = "oauth2", **members: Any) -> str:
        policy = {scheme: self.members | members}
        return (await credentials(policy, self.context, self.client)).parameter

    async def refused(self, scheme: str = "oauth2", **members: Any) -> TaskError:
        with pytest.raises(TaskError) as caught:
            await self.token(scheme, **members)
        return caught.value

    async def get(self, path: str) -> int:
        granted = await credentials({"oauth2": self.members}, self.context, self.client)
        request = Outgoing("GET", parse_url(self.stub.url + path), dict(granted.headers))
        return (await self.client.send(request, auth=granted.auth)).status

    @property
    def asked(self) -> list[dict[str, Any]]:
        return [_fields(r) for r in self.stub.requests if r.path.endswith("/token")]


def _fields(request: Request) -> dict[str, Any]:
    if request.headers["content-type"] == "application/json":
        return dict(request.json())
    parsed = parse_qs(request.body.decode(), keep_blank_values=True)
    return {name: " + ".join(values) for name, values in parsed.items()}


def _jwt(**claims: Any) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(value)).rstrip(b"=").decode()

    return f"{part({'alg': 'none'})}.{part(claims)}.sig"


@pytest.fixture
def authority(stub: HttpStub, context: TaskContext, client: HttpClient) -> Authority:
    return Authority(stub, context, client)


class TestGrants:
    async def test_client_credentials(self, authority: Authority) -> None:
        assert await authority.token(scopes=["a", "b"], audiences=["x", "y"]) == "a-1"
        assert authority.asked == [
            {
                "grant_type": "client_credentials",
                "client_id": "me",
                "client_secret": "my secret",
                "scope": "a b",
                "audience": "x + y",
            }
        ]

    @pytest.mark.parametrize(
        ("grant", "members", "sent"),
        [
            (
                "password",
                {"username": "ada", "password": "pw"},
                {"username": "ada", "password": "pw"},
            ),
            ("refresh_token", {"subject": {"token": "r-0"}}, {"refresh_token": "r-0"}),
            ("refresh_token", {"refreshToken": "r-1"}, {"refresh_token": "r-1"}),
            (
                "authorization_code",
                {"code": "c", "redirectUri": "http://b", "codeVerifier": "v"},
                {"code": "c", "redirect_uri": "http://b", "code_verifier": "v"},
            ),
            ("authorization_code", {"subject": {"token": "c", "type": "code"}}, {"code": "c"}),
            (
                EXCHANGE,
                {"subject": {"token": "s", "type": "urn:s"}},
                {"subject_token": "s", "subject_token_type": "urn:s"},
            ),
            (
                EXCHANGE,
                {"subject": {"token": "s", "type": "t"}, "actor": {"token": "a", "type": "u"}},
                {
                    "subject_token": "s",
                    "subject_token_type": "t",
                    "actor_token": "a",
                    "actor_token_type": "u",
                },
            ),
        ],
    )
    async def test_each_grant_sends_what_it_needs(
        self, authority: Authority, grant: str, members: dict[str, Any], sent: dict[str, str]
    ) -> None:
        assert await authority.token(grant=grant, client={}, **members) == "a-1"
        assert authority.asked == [{"grant_type": grant} | sent]

    @pytest.mark.parametrize(
        ("members", "problem"),
        [
            ({"grant": "implicit"}, "no grant 'implicit'"),
            ({"grant": "password", "username": "ada"}, "it needs password"),
            ({"grant": "refresh_token"}, "subject.token, or refreshToken in a secret"),
            ({"grant": EXCHANGE}, "it needs subject.token"),
            ({"client": {"secret": "x"}}, "it needs client.id"),
            ({"client": {"id": "x", "authentication": "magic"}}, "no client authentication"),
            ({"request": {"encoding": "text/xml"}}, "request.encoding is"),
            ({"scopes": "a b"}, "scopes must be a list"),
            ({"endpoints": {"token": 5}}, "endpoints.token must be a path"),
        ],
    )
    async def test_what_is_missing_is_named(
        self, authority: Authority, members: dict[str, Any], problem: str
    ) -> None:
        error = await authority.refused(**members)
        assert (error.type, error.status) == (f"{ERRORS}configuration", 400)
        assert problem in (error.detail or "")

    async def test_a_request_can_be_json(self, authority: Authority) -> None:
        await authority.token(request={"encoding": "application/json"}, audiences=["x", "y"])
        assert authority.asked[0]["audience"] == ["x", "y"]


class TestClientAuthentication:
    async def test_basic(self, authority: Authority) -> None:
        client = {"id": "m:e", "secret": "s s", "authentication": "client_secret_basic"}
        await authority.token(client=client)
        sent = authority.stub.requests[0].headers["authorization"]
        assert base64.b64decode(sent.removeprefix("Basic ")) == b"m%3Ae:s+s"
        assert authority.asked == [{"grant_type": "client_credentials"}]

    async def test_none_names_the_client_only(self, authority: Authority) -> None:
        await authority.token(client={"id": "me", "authentication": "none"})
        assert authority.asked == [{"grant_type": "client_credentials", "client_id": "me"}]

    async def test_a_ready_assertion_is_sent(self, authority: Authority) -> None:
        client = {"id": "me", "authentication": "private_key_jwt", "assertion": "x.y.z"}
        await authority.token(client=client)
        sent = authority.asked[0]
        assert sent["client_assertion"] == "x.y.z"
        assert sent["client_assertion_type"].endswith(":jwt-bearer")

    async def test_a_shared_secret_signs(self, authority: Authority) -> None:
        client = {"id": "me", "secret": "shared", "authentication": "client_secret_jwt"}
        await authority.token(client=client)
        head, claims, signature, signed = _opened(authority.asked[0]["client_assertion"])
        assert head["alg"] == "HS256"
        assert signature == hmac.digest(b"shared", signed, hashlib.sha256)
        assert (claims["iss"], claims["sub"]) == ("me", "me")
        assert claims["aud"] == authority.stub.url + "/oauth2/token"
        assert claims["exp"] - claims["iat"] == 60

    @pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
    async def test_a_private_key_signs(self, authority: Authority, algorithm: str) -> None:
        pem, check = _KEYS[algorithm]()
        client = {"id": "me", "secret": pem, "authentication": "private_key_jwt"}
        await authority.token(client=client)
        head, _, signature, signed = _opened(authority.asked[0]["client_assertion"])
        assert head["alg"] == algorithm
        check(signature, signed)

    async def test_a_key_that_is_none_is_not_quoted(self, authority: Authority) -> None:
        client = {"id": "me", "secret": "my words", "authentication": "private_key_jwt"}
        error = await authority.refused(client=client)
        assert "not an unencrypted private key" in (error.detail or "")
        assert "my words" not in (error.detail or "")


def _opened(assertion: str) -> tuple[Any, Any, bytes, bytes]:
    def decoded(part: str) -> bytes:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

    head, claims, signature = assertion.split(".")
    signed = f"{head}.{claims}".encode()
    values = [msgspec.json.decode(decoded(part)) for part in (head, claims)]
    return values[0], values[1], decoded(signature), signed


def _pem(key: Any) -> str:
    text: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return text.decode()


def _rsa() -> tuple[str, Callable[[bytes, bytes], Any]]:
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key()
    return _pem(key), lambda sig, data: public.verify(sig, data, padding.PKCS1v15(), SHA256())


def _p256() -> tuple[str, Callable[[bytes, bytes], Any]]:
    key = ec.generate_private_key(ec.SECP256R1())

    def check(signature: bytes, data: bytes) -> None:
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        key.public_key().verify(encode_dss_signature(r, s), data, ec.ECDSA(SHA256()))

    return _pem(key), check


def _ed25519() -> tuple[str, Callable[[bytes, bytes], Any]]:
    key = ed25519.Ed25519PrivateKey.generate()
    return _pem(key), key.public_key().verify


_KEYS = {"RS256": _rsa, "ES256": _p256, "EdDSA": _ed25519}


class TestEndpoint:
    @pytest.mark.parametrize(
        ("authority_path", "token", "path"),
        [
            ("", None, "/oauth2/token"),
            ("/realms/a", None, "/realms/a/oauth2/token"),
            ("/realms/a/", "/my/token", "/realms/a/my/token"),
            ("/realms/a", "my/token", "/realms/a/my/token"),
        ],
    )
    async def test_it_is_relative_to_the_authority(
        self, authority: Authority, authority_path: str, token: str | None, path: str
    ) -> None:
        authority.answer(Answer(json=ISSUED), path=path)
        endpoints = {"token": token} if token else {}
        base = authority.stub.url + authority_path
        assert await authority.token(authority=base, endpoints=endpoints) == "a-1"
        assert authority.stub.requests[0].path == path

    async def test_it_can_be_somewhere_else(self, authority: Authority) -> None:
        async with HttpStub() as other:
            url = other.answer("/token", Answer(json=ISSUED))
            assert await authority.token(endpoints={"token": url}) == "a-1"
        assert len(other.requests) == 1

    @pytest.mark.parametrize("suffix", ["", "/", "/.well-known/openid-configuration"])
    async def test_oidc_discovers_it(self, authority: Authority, suffix: str) -> None:
        endpoint = {"token_endpoint": authority.stub.url + "/x/token"}
        discovery = "/realm/.well-known/openid-configuration"
        authority.answer(Answer(json=endpoint), path=discovery)
        authority.answer(Answer(json=ISSUED), path="/x/token")
        members = {"authority": f"{authority.stub.url}/realm{suffix}"}
        assert await authority.token("oidc", **members) == "a-1"
        assert [r.path for r in authority.stub.requests] == [discovery, "/x/token"]

    @pytest.mark.parametrize("answer", [Answer(json={}), Answer(json=[1]), Answer(body=b"<html>")])
    async def test_a_discovery_that_names_none_is_an_error(
        self, authority: Authority, answer: Answer
    ) -> None:
        authority.answer(answer, path="/.well-known/openid-configuration")
        error = await authority.refused("oidc")
        assert (error.type, error.status) == (f"{ERRORS}authentication", 401)

    async def test_the_egress_policy_holds_for_it(self, authority: Authority) -> None:
        error = await authority.refused(authority="http://169.254.169.254/latest")
        assert (error.type, error.status) == (f"{ERRORS}authorization", 403)


class TestAnswers:
    async def test_a_refusal_says_why_without_a_secret(self, authority: Authority) -> None:
        said = {"error": "invalid_client", "error_description": "not my secret, me"}
        authority.answer(Answer(400, json=said))
        error = await authority.refused()
        assert (error.type, error.status) == (f"{ERRORS}authentication", 401)
        assert "invalid_client: not [redacted], me" in (error.detail or "")
        assert "/oauth2/token" in (error.detail or "")

    @pytest.mark.parametrize("status", [429, 500, 503])
    async def test_a_server_in_trouble_is_a_communication_error(
        self, authority: Authority, status: int
    ) -> None:
        authority.answer(Answer(status, body=b"later"))
        error = await authority.refused()
        assert (error.type, error.status) == (f"{ERRORS}communication", status)

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(json={}),
            Answer(json={"access_token": 5}),
            Answer(json={"access_token": "a\nb"}),
            Answer(json={"access_token": "a", "token_type": "mac"}),
            Answer(body=b"access_token=a"),
            Answer(302, headers={"location": "/elsewhere"}),
        ],
    )
    async def test_an_answer_without_a_usable_token_is_a_refusal(
        self, authority: Authority, answer: Answer
    ) -> None:
        authority.answer(answer)
        error = await authority.refused()
        assert (error.type, error.status) == (f"{ERRORS}authentication", 401)

    @pytest.mark.parametrize(
        ("issued", "accepted"),
        [
            ({"access_token": _jwt(iss="https://good")}, True),
            ({"access_token": _jwt(iss="https://evil")}, False),
            ({"access_token": _jwt(sub="x")}, False),
            ({"access_token": "opaque"}, True),
            ({"access_token": "opaque", "id_token": _jwt(iss="https://evil")}, False),
        ],
    )
    async def test_issuers_are_checked_where_a_token_names_one(
        self, authority: Authority, issued: dict[str, Any], *, accepted: bool
    ) -> None:
        authority.answer(Answer(json=issued))
        if accepted:
            assert await authority.token(issuers=["https://good"]) == issued["access_token"]
        else:
            error = await authority.refused(issuers=["https://good"])
            assert "none of the policy's issuers" in (error.detail or "")


class TestLife:
    async def test_a_token_is_kept(self, authority: Authority) -> None:
        assert [await authority.token() for _ in range(3)] == ["a-1"] * 3
        assert len(authority.asked) == 1

    async def test_another_policy_has_another_token(self, authority: Authority) -> None:
        await authority.token()
        await authority.token(scopes=["more"])
        assert len(authority.asked) == 2

    async def test_an_expired_token_is_asked_for_again(self, authority: Authority) -> None:
        short = {"access_token": "a-1", "expires_in": 0}
        authority.answer(Answer(json=short), Answer(json=ISSUED | {"access_token": "a-2"}))
        assert [await authority.token() for _ in range(3)] == ["a-1", "a-2", "a-2"]

    @pytest.mark.parametrize(
        ("issued", "life"),
        [
            ({"expires_in": 3600}, 3570),
            ({"expires_in": "40"}, 30),
            ({}, oauth2.DEFAULT_LIFE - 30),
            ({"expires_in": "soon"}, oauth2.DEFAULT_LIFE - 30),
            ({"expires_in": -5}, 0),
        ],
    )
    def test_a_token_is_renewed_a_little_early(self, issued: dict[str, Any], life: float) -> None:
        assert oauth2.life_of(issued.get("expires_in"), "opaque", now=0) == life

    def test_a_token_may_say_itself_when_it_expires(self) -> None:
        assert oauth2.life_of(None, _jwt(exp=1400), now=1000) == 370

    async def test_a_refresh_token_is_used(self, authority: Authority) -> None:
        short = {"access_token": "a-1", "expires_in": 0, "refresh_token": "r-1"}
        authority.answer(Answer(json=short), Answer(json=ISSUED | {"access_token": "a-2"}))
        assert [await authority.token() for _ in range(2)] == ["a-1", "a-2"]
        assert authority.asked[1] == {
            "grant_type": "refresh_token",
            "refresh_token": "r-1",
            "client_id": "me",
            "client_secret": "my secret",
        }

    async def test_a_refused_refresh_token_leads_back_to_the_grant(
        self, authority: Authority
    ) -> None:
        short = {"access_token": "a-1", "expires_in": 0, "refresh_token": "r-1"}
        refusal = Answer(400, json={"error": "invalid_grant"})
        authority.answer(Answer(json=short), refusal, Answer(json=ISSUED))
        assert [await authority.token() for _ in range(2)] == ["a-1", "a-1"]
        grants = [asked["grant_type"] for asked in authority.asked]
        assert grants == ["client_credentials", "refresh_token", "client_credentials"]

    async def test_many_callers_share_one_request(self, authority: Authority) -> None:
        hold = asyncio.Event()
        authority.answer(Answer(json=ISSUED, hold=hold))
        waiting = asyncio.gather(*(authority.token() for _ in range(20)))
        await authority.stub.arrived.get()
        hold.set()
        assert await waiting == ["a-1"] * 20
        assert len(authority.asked) == 1

    async def test_one_caller_that_gives_up_does_not_disturb_the_others(
        self, authority: Authority
    ) -> None:
        hold = asyncio.Event()
        authority.answer(Answer(json=ISSUED, hold=hold))
        first = asyncio.create_task(authority.token())
        await authority.stub.arrived.get()
        second = asyncio.create_task(authority.token())
        first.cancel()
        hold.set()
        assert await second == "a-1"
        assert first.cancelled()
        assert len(authority.asked) == 1

    async def test_a_failure_is_everyones_and_is_not_kept(self, authority: Authority) -> None:
        authority.answer(Answer(400, json={"error": "no"}), Answer(json=ISSUED))
        failures = await asyncio.gather(
            *(authority.token() for _ in range(3)), return_exceptions=True
        )
        assert [type(failure) for failure in failures] == [TaskError] * 3
        assert len({id(failure) for failure in failures}) == 3
        assert await authority.token() == "a-1"


class TestRefusedByTheTarget:
    async def test_the_token_is_dropped_and_another_is_tried(self, authority: Authority) -> None:
        authority.answer(Answer(json=ISSUED), Answer(json=ISSUED | {"access_token": "a-2"}))
        authority.stub.answer("/x", Answer(401), Answer(200))
        assert await authority.get("/x") == 200
        sent = [r.headers["authorization"] for r in authority.stub.requests if r.path == "/x"]
        assert sent == ["Bearer a-1", "Bearer a-2"]
        assert await authority.token() == "a-2"

    async def test_it_is_tried_once_more_and_no_oftener(self, authority: Authority) -> None:
        authority.stub.answer("/x", Answer(401))
        assert await authority.get("/x") == 401
        assert len([r for r in authority.stub.requests if r.path == "/x"]) == 2

    async def test_a_token_that_another_call_renewed_is_not_renewed_again(
        self, authority: Authority
    ) -> None:
        tokens = [Answer(json=ISSUED | {"access_token": f"a-{n}"}) for n in range(1, 9)]
        authority.answer(*tokens)
        authority.stub.answer(
            "/x", lambda r: Answer(401 if r.headers["authorization"] == "Bearer a-1" else 200)
        )
        assert await asyncio.gather(*(authority.get("/x") for _ in range(5))) == [200] * 5
        assert len(authority.asked) == 2
