"""OAuth 2 and OpenID Connect on a cluster: by name, by secret, with one token for many calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.support.http_stub import Answer, HttpStub, Request
from tests.support.processes import history, running_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flunq.client.client import Client

pytestmark = pytest.mark.timeout(60)
SECRET = "the-clients-secret"
KEPT = "kept-out-of-the-document"
WORKFLOW = """
document: {dsl: 1.0.3, namespace: test, name: NAME, version: 1.0.0}
use:
  secrets: [policy]
  authentications:
    named:
      oauth2:
        authority: STUB/realm
        grant: client_credentials
        client: {id: '${ .client }', secret: SECRET}
        scopes: [read]
    secret: {oidc: {use: policy}}
do:
  - all:
      for: {in: '${ [range(5)] }'}
      do:
        - get:
            call: http
            with:
              method: get
              endpoint: {uri: STUB/protected, authentication: POLICY}
            input: {from: '${ {client: "me"} }'}
"""
INLINE = """
{oauth2: {authority: STUB/realm, grant: password, username: ada, password: SECRET,
          client: {id: me, authentication: none}}}
"""


def _guard(request: Request) -> Answer:
    allowed = request.headers.get("authorization") == "Bearer good-token"
    return Answer(json={"in": True}) if allowed else Answer(401, json={"error": "no"})


@pytest.fixture
async def authority() -> AsyncIterator[HttpStub]:
    async with HttpStub() as stub:
        issued = Answer(json={"access_token": "good-token", "expires_in": 600})
        stub.answer("/protected", _guard)
        stub.answer("/realm/oauth2/token", issued)
        stub.answer("/realm/tokens", issued)
        discovered = {"token_endpoint": f"{stub.url}/realm/tokens"}
        stub.answer("/realm/.well-known/openid-configuration", Answer(json=discovered))
        yield stub


def _document(name: str, policy: str, stub: HttpStub) -> str:
    text = WORKFLOW.replace("POLICY", policy.strip()).replace("NAME", name)
    return text.replace("STUB", stub.url).replace("SECRET", SECRET)


async def _run(client: Client, name: str) -> Any:
    run = await client.start(name, {}, id=f"{name}-1")
    return await run.result(20)


async def test_a_policy_is_used_wherever_it_stands(tmp_path: Path, authority: HttpStub) -> None:
    policies = {"named": "{use: named}", "secret": "{use: secret}", "inline": INLINE}
    environment = {"FLUNQ_SECRET_POLICY": _secret(authority)}
    cluster_of_one = running_cluster(tmp_path, environment=environment)
    async with cluster_of_one as cluster, cluster.client() as client:
        for name, policy in policies.items():
            await client.apply(_document(name, policy, authority))
            assert await _run(client, name) == {"in": True}
        histories = [await history(client, f"{name}-1") for name in policies]
        log = cluster.log("node-1")
    asked = [request.body for request in authority.requests if request.method == "POST"]
    assert [body.count(b"grant_type=") for body in asked] == [1, 1, 1]
    assert [request.path for request in authority.requests].count("/protected") == 15
    written = log.encode() + b"".join(bytes(e.data) for events in histories for e in events)
    assert b"/protected" in written
    assert b"good-token" not in written
    assert KEPT.encode() not in written


def _secret(authority: HttpStub) -> str:
    client = {"id": "me", "secret": KEPT}
    members = {"authority": f"{authority.url}/realm", "grant": "client_credentials"}
    return msgspec.json.encode(members | {"client": client}).decode()


async def test_a_refusal_is_an_error_to_catch(tmp_path: Path, authority: HttpStub) -> None:
    authority.answer("/realm/oauth2/token", Answer(401, json={"error": "invalid_client"}))
    async with running_cluster(tmp_path) as cluster, cluster.client() as client:
        await client.apply(_document("refused", "{use: named}", authority))
        result = await (await client.start("refused", {})).wait(20)
    assert result.failure is not None
    assert (result.failure.type.rpartition("/")[2], result.failure.status) == (
        "authentication",
        401,
    )
    assert "invalid_client" in (result.failure.detail or "")
    assert SECRET not in (result.failure.detail or "")
