from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from flunq.contexts import ContextStore
from flunq.errors import RejectedError, UsageError
from flunq.services.supervising.layout import DataDirectory
from flunq.services.supervising.network import free_ports, listen, require_free
from flunq.services.supervising.options import ClusterOptions, check_options
from flunq.services.supervising.plan import make_plan
from flunq.services.supervising.secrets import load_secrets

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workers": 0}, "at least one worker"),
        ({"nodes": 2}, "no sound cluster"),
        ({"nodes": 3, "nats_url": "nats://x:1"}, "choose one"),
        ({"replicas": 3}, "as many NATS servers"),
        ({"functions": ("missing.py",)}, "there is no file"),
    ],
)
def test_options_that_cannot_work_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check_options(ClusterOptions(data=tmp_path, **changes))


@pytest.mark.parametrize(("nodes", "replicas"), [(1, 1), (3, 3), (5, 3)])
def test_three_servers_keep_three_copies(tmp_path: Path, nodes: int, replicas: int) -> None:
    assert ClusterOptions(data=tmp_path, nodes=nodes).stream_replicas == replicas


@pytest.mark.parametrize(
    ("workers", "named", "partitions"),
    [(1, None, 1), (2, None, 8), (4, None, 8), (5, None, 16), (7, None, 16), (1, 8, 8), (2, 1, 1)],
)
def test_a_new_tenant_has_as_many_partitions_as_its_nodes_share_well(
    workers: int, named: int | None, partitions: int, tmp_path: Path
) -> None:
    options = ClusterOptions(data=tmp_path, workers=workers, partitions=named)
    assert options.tenant_partitions == partitions


def test_free_ports_are_distinct_and_keep_the_preferred_ones() -> None:
    ports = free_ports(4)
    assert len(set(ports)) == 4
    assert free_ports(4, preferred=ports) == ports


def test_a_port_that_is_taken_is_not_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert port not in free_ports(2, preferred=[port])
        with pytest.raises(UsageError, match=f"port {port} cannot be used"):
            require_free(port, "--nats-port")
        with pytest.raises(UsageError, match=f"port {port} cannot be used"):
            listen(port)
        with listen(0, preferred=port) as other:
            assert other.getsockname()[1] != port


def test_secrets_are_made_once_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    made = load_secrets(path, tenant="default")
    assert load_secrets(path, tenant="default") == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert made.token not in repr(made)
    assert made.nats.engine_password not in repr(made)


def test_damaged_secrets_are_refused_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.write_text("{")
    with pytest.raises(RejectedError, match="damaged") as refused:
        load_secrets(path, tenant="default")
    assert "sealed secrets are lost" in (refused.value.hint or "")
    assert path.read_text() == "{"


def begun(data: Path) -> DataDirectory:
    """Return a data directory whose store has streams."""
    directory = DataDirectory(data)
    directory.create()
    (directory.nats / "jetstream" / "$G" / "streams").mkdir(parents=True)
    return directory


def test_lost_secrets_of_a_store_are_not_replaced_in_silence(tmp_path: Path) -> None:
    directory = begun(tmp_path)
    with pytest.raises(RejectedError, match="tokens that were issued are void") as refused:
        make_plan(ClusterOptions(data=tmp_path), directory)
    assert refused.value.details["where"] == str(directory.credentials)
    assert not directory.credentials.exists()
    directory.credentials.write_text("{}\n")
    make_plan(ClusterOptions(data=tmp_path), directory).clean()
    assert load_secrets(directory.credentials, tenant="default").token


def test_an_encrypted_store_is_not_begun_with_new_secrets(tmp_path: Path) -> None:
    directory = begun(tmp_path)
    (directory.nats / "store-key.id").write_text("1234\n")
    with pytest.raises(RejectedError, match="the key that the store is encrypted with") as refused:
        make_plan(ClusterOptions(data=tmp_path), directory)
    assert "{}" not in (refused.value.hint or "")


def test_an_existing_nats_needs_no_secrets_of_an_earlier_store(tmp_path: Path) -> None:
    directory = begun(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        options = ClusterOptions(
            data=tmp_path, nats_url=f"nats://127.0.0.1:{server.getsockname()[1]}"
        )
        make_plan(options, directory).clean()
    assert directory.credentials.is_file()


def test_who_an_existing_nats_knows_us_as_reaches_nodes_and_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUNQ_CONFIG_DIR", str(tmp_path / "config"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        options = ClusterOptions(data=tmp_path, nats_url=f"nats://me:a%40b@127.0.0.1:{port}")
        directory = DataDirectory(tmp_path)
        directory.create()
        plan = make_plan(options, directory)
    plan.save_context()
    context = ContextStore().get("local")
    node = json.loads(directory.node_config("node-1").read_bytes())
    assert (context.user, context.password) == (node["user"], node["password"]) == ("me", "a@b")
    plan.clean()
