from __future__ import annotations

import ssl
import stat
from typing import TYPE_CHECKING

import pytest

from flunq.errors import ConflictError, NotFoundError, RejectedError, UsageError
from flunq.log.nats.tls import client_context, tls_options
from flunq.log.select import StreamSettings
from flunq.services.identity.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "certs")
    made.create()
    return made


def test_a_certificate_is_for_this_machine_and_the_hosts_given(authority: Authority) -> None:
    made = authority.issue("api", ["api.example.com", "10.0.0.7"])
    assert made.hosts == ["127.0.0.1", "::1", "localhost", "api.example.com", "10.0.0.7"]
    assert 395 <= made.days_left <= 397


def test_nobody_else_can_read_the_files(authority: Authority) -> None:
    authority.issue("api")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in authority.folder.iterdir()}
    assert set(modes.values()) == {0o600}
    assert set(modes) == {"ca.pem", "ca.key", "api.pem", "api.key"}
    assert stat.S_IMODE(authority.folder.stat().st_mode) == 0o700


def test_python_takes_the_pair_and_trusts_the_authority(authority: Authority) -> None:
    made = authority.issue("api")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.file, made.key)
    context = client_context(str(authority.certificate))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_renewing_keeps_the_hosts_and_changes_the_key(authority: Authority) -> None:
    before = authority.issue("api", ["a.example"])
    old = (authority.folder / "api.key").read_bytes()
    assert authority.renew("api").hosts == before.hosts
    assert (authority.folder / "api.key").read_bytes() != old


def test_what_is_there_is_not_overwritten(authority: Authority) -> None:
    authority.issue("api")
    with pytest.raises(ConflictError):
        authority.issue("api")
    with pytest.raises(ConflictError):
        authority.create()


@pytest.mark.parametrize("name", ["", "ca", "../api", "a/b", ".hidden", "a" * 65])
def test_a_name_leaves_the_folder_never(authority: Authority, name: str) -> None:
    with pytest.raises(UsageError):
        authority.issue(name)


@pytest.mark.parametrize("host", ["a..b", "x" * 300])
def test_a_host_that_cannot_be_is_refused(authority: Authority, host: str) -> None:
    with pytest.raises(UsageError):
        authority.issue("api", [host])


def test_an_authority_is_needed_first_and_may_not_be_damaged(authority: Authority) -> None:
    with pytest.raises(NotFoundError):
        Authority(authority.folder / "nowhere").issue("api")
    (authority.folder / "ca.key").write_text("nonsense")
    with pytest.raises(RejectedError):
        authority.issue("api")


def test_ensure_makes_what_is_missing_and_leaves_what_is_good(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "certs")
    first = authority.ensure("server", ["a.example"])
    key = (authority.folder / "server.key").read_bytes()
    assert authority.ensure("server", ["a.example"]) == first
    assert (authority.folder / "server.key").read_bytes() == key
    assert authority.ensure("server", ["b.example"]).hosts[-2:] == ["a.example", "b.example"]
    assert (authority.folder / "server.key").read_bytes() != key


def test_verification_is_never_off(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLUNQ_CA", raising=False)
    for settings in (
        StreamSettings(url="tls://127.0.0.1:4222"),
        StreamSettings(url="nats://127.0.0.1:4222", ca=str(authority.certificate)),
    ):
        context = tls_options(settings)["tls"]
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
    assert tls_options(StreamSettings()) == {}
    with pytest.raises(UsageError):
        tls_options(StreamSettings(ca="/nowhere.pem"))
