"""Secrets in a real cluster: executors and servers see them, nothing on disk ever does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flunq.errors import ExecutionFailedError
from tests.support.canary import files_with
from tests.support.http_stub import HttpStub
from tests.support.processes import history, running_cluster

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)
CANARY = 'c4n4ry "on the" wire'
LOGIN = "l0g1n-c4n4ry"
ENVIRONMENT = {
    "FLUNQ_SECRET_TOKEN": CANARY,
    "FLUNQ_SECRET_LOGIN": f'{{"username": "ada", "password": "{LOGIN}"}}',
}
FUNCTIONS = """
import logging

import flunq


@flunq.function("blab")
async def blab(secret: str) -> str:
    print("printed", secret)
    logging.getLogger("blab").warning("logged %s", secret)
    raise ValueError(f"raised {secret}")


@flunq.function("echo")
async def echo(secret: str) -> dict:
    return {secret: [secret, f"<{secret}>"], "length": len(secret)}
"""
WORKFLOW = """
document: {dsl: 1.0.3, namespace: test, name: canary, version: 1.0.0}
use:
  secrets: [token, login]
  authentications: {ada: {basic: {use: login}}}
input: {from: '${ {url: .url, token: $secrets.token} }'}
do:
  - request:
      call: http
      with:
        method: post
        endpoint: {uri: '${ .url }', authentication: {use: ada}}
        headers: {x-token: '${ .token | @base64 }', x-user: '${ $secrets.login.username }'}
        query: {t: '${ .token }'}
        body: {key: '${ $secrets.token }'}
        output: response
      export: {as: '${ . }'}
  - function: {call: echo, with: {secret: '${ $secrets.token }'}}
  - failing:
      try: [{blab: {call: blab, with: {secret: '${ "a " + $secrets.token }'}}}]
      catch: {do: [{tell: {set: {error: '${ $error }', before: '${ . }', seen: '${ $context }'}}}]}
"""
UNKNOWN = """
document: {dsl: 1.0.3, namespace: test, name: unknown, version: 1.0.0}
use: {secrets: [nowhere]}
do:
  - use: {call: echo, with: {secret: '${ $secrets.nowhere }'}}
"""


def leaks(folder: Path, *texts: str) -> list[str]:
    """Return the files that hold a text, plainly or as JSON."""
    forms = [form.encode() for text in texts for form in {text, text.replace('"', '\\"')}]
    return files_with(folder, *forms)


async def test_a_secret_is_in_the_request_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "blab.py").write_text(FUNCTIONS)
    data = tmp_path / "data"
    functions = (str(tmp_path / "blab.py"),)
    async with (
        HttpStub() as stub,
        running_cluster(
            data,
            functions=functions,
            environment=ENVIRONMENT,
            node={"checkpoint_seconds": 0.2},
        ) as cluster,
        cluster.client() as client,
    ):
        await client.apply(WORKFLOW)
        run = await client.start("canary", {"url": f"{stub.url}/echo"}, id="bird")
        output: Any = await run.result(20)
        (request,) = stub.requests
        assert request.json() == {"key": CANARY}
        assert request.headers["x-token"] == "YzRuNHJ5ICJvbiB0aGUiIHdpcmU="
        assert request.headers["authorization"].startswith("Basic ")
        assert output["before"]["length"] == len(CANARY)
        told = repr([output, [event.value() for event in await history(client, "bird")]])
        assert CANARY not in told
        assert LOGIN not in told
        assert "~secret." in output["error"]["detail"]
        log = cluster.log("node-1")
        assert "printed a " in log
    assert leaks(data / "nats", "~secret.") != []
    assert leaks(data, CANARY, LOGIN) == []


async def test_a_secret_that_nobody_has_is_an_authorization_error(tmp_path: Path) -> None:
    (tmp_path / "blab.py").write_text(FUNCTIONS)
    functions = (str(tmp_path / "blab.py"),)
    async with (
        running_cluster(tmp_path / "data", functions=functions) as cluster,
        cluster.client() as client,
    ):
        await client.apply(UNKNOWN)
        run = await client.start("unknown", {}, id="none")
        with pytest.raises(ExecutionFailedError) as raised:
            await run.result(10)
        assert raised.value.details["error"]["status"] == 403
