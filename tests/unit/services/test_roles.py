"""What runs beside the API, and as whom it connects."""

from __future__ import annotations

from flunq.services.control import ControlSettings
from flunq.services.identity.keys import internal_proof
from flunq.services.identity.settings import IdentitySettings
from flunq.services.roles import control_roles, roles_of_one_tenant

KEY = "k" * 43


def settings_of(*roles: str, data_dir: str | None = None) -> ControlSettings:
    return ControlSettings(nats_url="memory://none", roles=roles, data_dir=data_dir)


def test_the_archive_needs_a_folder() -> None:
    assert control_roles(settings_of("historian")) == []
    assert len(control_roles(settings_of("historian", data_dir="/data"))) == 2


def test_a_process_with_an_archive_does_more() -> None:
    without = control_roles(settings_of("api", "historian"))
    assert len(control_roles(settings_of("api", "historian", data_dir="/data"))) == len(without) + 2


def test_only_the_process_itself_keeps_the_tenants() -> None:
    settings = settings_of("api")
    assert len(control_roles(settings)) == len(roles_of_one_tenant(settings)) + 1


def test_every_part_shows_the_proof_of_its_cluster() -> None:
    identity = IdentitySettings(token_key=KEY)
    settings = ControlSettings(nats_url="memory://none", identity=identity, node="c", replicas=3)
    own, other = settings.connection("queries"), settings.connection("clients", tenant="acme")
    assert (own.name, own.tenant, own.replicas) == ("c-queries", "default", 3)
    assert (other.name, other.tenant) == ("c-clients", "acme")
    assert own.proof == other.proof == internal_proof(KEY) != ""
