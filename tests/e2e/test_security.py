"""Tokens, audit, TLS and encryption, as a user meets them."""

from __future__ import annotations

import json
import socket
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from flunq.contexts import ContextStore
from tests.support.cli import Flunq
from tests.support.cluster import HELLO, PAUSE
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(180)
CANARY = "canary-5f1c2f0b9e-in-the-clear"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    """A cluster with TLS whose store is encrypted."""
    flunq = Flunq(tmp_path_factory.mktemp("secure"))
    started = flunq("up", "--detach", "--tls", "--encrypt", "--data", "data", "--workers", "1")
    assert started.code == 0, started.err
    for text in (HELLO, PAUSE):
        (flunq.home / "workflow.yaml").write_text(text)
        assert flunq("apply", "workflow.yaml").code == 0
    yield flunq
    flunq("down")


def context_of(flunq: Flunq) -> Any:
    home = flunq.environment()["FLUNQ_CONFIG_DIR"]
    return ContextStore(environ={"FLUNQ_CONFIG_DIR": home}).get("local")


def api(flunq: Flunq, path: str = "/v1/executions", *, token: str | None = None) -> httpx.Response:
    context = context_of(flunq)
    verify = ssl.create_default_context(cafile=context.ca)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.get(f"{context.api_url}{path}", headers=headers, verify=verify, timeout=30)


def audit(flunq: Flunq, *arguments: str, until: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return the audit, once it has some operations: each process writes its own, soon after."""
    found: list[dict[str, Any]] = []

    def complete() -> bool:
        found[:] = flunq("audit", *arguments, "-o", "json").json
        return {entry["what"] for entry in found}.issuperset(until)

    wait_until(complete)
    return found


def test_the_api_speaks_tls_and_is_verified(cluster: Flunq) -> None:
    context = context_of(cluster)
    assert context.api_url.startswith("https://")
    assert api(cluster, "/livez").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{context.api_url}/livez")
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{context.api_url.replace('https', 'http')}/livez")


def test_nats_speaks_tls_and_is_verified(cluster: Flunq) -> None:
    context = context_of(cluster)
    assert context.nats_url.startswith("tls://")
    assert cluster("list").code == 0
    login = {"FLUNQ_NATS_USER": context.user, "FLUNQ_NATS_PASSWORD": context.password}
    stranger = Flunq(cluster.home / "stranger")
    stranger.home.mkdir()
    refused = stranger("list", environ={**login, "FLUNQ_NATS_URL": context.nats_url})
    assert refused.code == 6
    assert "certificate" in refused.err.lower()
    trusted = {**login, "FLUNQ_NATS_URL": context.nats_url, "FLUNQ_CA": context.ca}
    assert stranger("list", environ=trusted).code == 0


def test_nats_sends_no_password_in_the_clear(cluster: Flunq) -> None:
    host, port = context_of(cluster).nats_url.removeprefix("tls://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        greeting = json.loads(plain.makefile("rb").readline().removeprefix(b"INFO "))
        assert greeting["tls_required"]


def test_what_is_stored_is_not_readable(cluster: Flunq) -> None:
    given = json.dumps({"name": CANARY})
    assert cluster("start", "hello", "-i", given, "--id", "canary").code == 0
    assert CANARY in cluster("result", "canary").out
    stored = [path for path in (cluster.home / "data" / "nats").rglob("*") if path.is_file()]
    assert any(path.suffix == ".blk" for path in stored)
    assert [path for path in stored if CANARY.encode() in path.read_bytes()] == []


def test_keys_and_credentials_are_their_owners_alone(cluster: Flunq) -> None:
    data = cluster.home / "data"
    for path in (data / "run" / "credentials.json", *(data / "certs").iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_token_is_created_used_and_revoked(cluster: Flunq) -> None:
    made = cluster("tokens", "create", "--name", "web", "--expires", "1h", "-o", "json").json
    assert {"token", "id", "expires"} <= made.keys()
    assert api(cluster, token=made["token"]).status_code == 200
    listed = cluster("tokens", "list", "-o", "json")
    assert made["token"].rpartition(".")[2] not in listed.out
    assert cluster("tokens", "revoke", made["id"], "--yes").code == 0
    assert api(cluster, token=made["token"]).status_code == 401
    states = {each["id"]: each["state"] for each in cluster("tokens", "list", "-o", "json").json}
    assert states[made["id"]] == "revoked"


def test_nobody_is_let_in_without_a_token(cluster: Flunq) -> None:
    answer = api(cluster)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:flunq:error:token-refused"


def test_what_a_token_says_is_shown_without_its_signature(cluster: Flunq) -> None:
    token = context_of(cluster).token
    shown = cluster("tokens", "show", "-o", "json")
    assert shown.json["role"] == "admin"
    assert token.rpartition(".")[2] not in shown.out


WRITES = {
    "apply": ["apply", "workflow.yaml"],
    "start": ["start", "pause", "--id", "audited"],
    "suspend": ["suspend", "audited"],
    "resume": ["resume", "audited"],
    "cancel": ["cancel", "audited"],
    "emit": ["emit", "com.example.audited", "--data", "{}"],
    "put-secret": ["secrets", "set", "audited", "--file", "-"],
    "delete-secret": ["secrets", "delete", "audited", "--yes"],
    "flush-lake": ["lake", "flush"],
    "create-token": ["tokens", "create", "--name", "audited"],
    "revoke-token": ["tokens", "revoke", "--name", "audited", "--yes"],
    "rotate-keys": ["tokens", "rotate"],
    "delete": ["delete", "audited", "--yes"],
    "delete-workflow": ["workflows", "delete", "tests/pause", "--yes"],
}


def test_every_command_that_changes_something_is_in_the_audit(cluster: Flunq) -> None:
    for name, arguments in WRITES.items():
        done = cluster(*arguments, stdin="v4lue" if name == "put-secret" else None)
        assert done.code == 0, (name, done.err)
    found = audit(cluster, until=WRITES)
    mine = next(entry for entry in found if entry["target"] == "audited")
    assert (mine["who"], mine["via"], mine["result"]) == ("client", "nats", "ok")
    assert mine["from"].endswith(f"@{socket.gethostname()}")
    assert "v4lue" not in json.dumps(found)


def test_what_was_refused_is_in_the_audit_too(cluster: Flunq) -> None:
    assert cluster("cancel", "nowhere-to-be-found").code == 4

    def refused() -> list[str]:
        found = audit(cluster, "--what", "cancel")
        return [each["result"] for each in found if each["target"] == "nowhere-to-be-found"]

    wait_until(refused)
    assert refused() == ["not-found"]


def test_the_api_leaves_one_trace_with_the_name_of_its_token(cluster: Flunq) -> None:
    made = cluster("tokens", "create", "--name", "tracer", "-o", "json").json
    context = context_of(cluster)
    answer = httpx.post(
        f"{context.api_url}/v1/executions",
        json={"workflow": "tests/hello", "id": "traced"},
        headers={"Authorization": f"Bearer {made['token']}"},
        verify=ssl.create_default_context(cafile=context.ca),
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    wait_until(lambda: audit(cluster, "--who", "tracer"))
    found = audit(cluster, "--who", "tracer")
    assert [(each["via"], each["role"], each["from"], each["target"]) for each in found] == [
        ("api", "operator", "127.0.0.1", "traced")
    ]
    assert not [each for each in audit(cluster, "--what", "start") if each["target"] == "traced"]


def test_revocations_and_keys_outlive_a_restart_and_a_wrong_key_is_refused(tmp_path: Path) -> None:
    flunq = Flunq(tmp_path)
    up = ("up", "--detach", "--encrypt", "--data", "data", "--workers", "1")
    assert flunq(*up).code == 0
    try:
        revoked, kept = (
            flunq("tokens", "create", "--name", name, "-o", "json").json for name in ("a", "b")
        )
        assert flunq("tokens", "revoke", "--name", "a", "--yes").code == 0
        before = context_of(flunq).token
        assert flunq("tokens", "rotate", "--revoke-old", "--yes").code == 0
        assert api(flunq, token=before).status_code == 401
        assert flunq("down").code == 0
        assert flunq(*up).code == 0
        for token in (before, revoked["token"], kept["token"]):
            assert api(flunq, token=token).status_code == 401
        assert api(flunq, token=context_of(flunq).token).status_code == 200
    finally:
        flunq("down")
    _with_another_store_key(tmp_path / "data" / "run" / "credentials.json")
    refused = flunq(*up)
    assert refused.code == 3
    assert "encrypted with another key" in refused.err


def test_a_store_that_was_begun_in_the_clear_is_not_turned(tmp_path: Path) -> None:
    flunq = Flunq(tmp_path)
    assert flunq("up", "--detach", "--data", "data", "--workers", "1").code == 0
    assert flunq("down").code == 0
    for _ in range(2):
        refused = flunq("up", "--detach", "--encrypt", "--data", "data", "--workers", "1")
        assert refused.code == 3
        assert "begun without encryption" in refused.err
    assert flunq("up", "--detach", "--data", "data", "--workers", "1").code == 0
    assert flunq("down").code == 0


def _with_another_store_key(path: Path) -> None:
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, "store_key": "another"}))


def test_certificates_are_made_listed_and_renewed(flunq: Flunq) -> None:
    assert flunq("certs", "issue", "api").code == 4
    assert flunq("certs", "init", "--dir", "ca").code == 0
    made = flunq("certs", "issue", "api", "--host", "api.example", "--dir", "ca", "-o", "json").json
    assert made["hosts"][-1] == "api.example"
    assert flunq("certs", "issue", "api", "--dir", "ca").code == 3
    before = (flunq.home / "ca" / "api.key").read_bytes()
    assert flunq("certs", "renew", "api", "--dir", "ca", "--yes").code == 0
    assert (flunq.home / "ca" / "api.key").read_bytes() != before
    listed = flunq("certs", "list", "--dir", "ca", "-o", "json").json
    assert [each["name"] for each in listed] == ["api", "ca"]


def test_an_issuer_without_an_audience_is_refused(flunq: Flunq) -> None:
    refused = flunq("up", "--detach", environ={"FLUNQ_OIDC_ISSUER": "https://id.example"})
    assert refused.code == 2
    assert "audience" in refused.err
