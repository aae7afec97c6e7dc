"""Settings: precedence, origins and complaints."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from flunq import config
from flunq.config import Loaded, Origin
from flunq.contexts import Context, ContextStore
from flunq.errors import NotFoundError, UsageError

SCHEMA = Path(__file__).parents[2] / "schemas" / "config.json"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def load(home: Path, directory: Path, flags: dict[str, object] | None = None, **env: str) -> Loaded:
    environ = {"FLUNQ_CONFIG_DIR": str(home), **env}
    return config.load(flags, environ=environ, directory=directory)


def test_defaults_need_nothing(home: Path, tmp_path: Path) -> None:
    loaded = load(home, tmp_path)
    assert (loaded.settings.tenant, loaded.settings.durability) == ("default", "strict")
    assert set(loaded.origins.values()) == {Origin(source="default")}


def test_each_source_wins_over_the_next(home: Path, tmp_path: Path) -> None:
    ContextStore(home).save(Context(name="prod", tenant="from-context"))
    (home / "config.toml").write_text('tenant = "from-user"\ncontext = "prod"\n')
    project = tmp_path / "flunq.toml"
    seen = [load(home, tmp_path).settings.tenant]
    project.write_text('tenant = "from-project"\n')
    seen.append(load(home, tmp_path).settings.tenant)
    seen.append(load(home, tmp_path, FLUNQ_TENANT="from-env").settings.tenant)
    seen.append(load(home, tmp_path, {"tenant": "flag"}, FLUNQ_TENANT="x").settings.tenant)
    assert seen == ["from-context", "from-project", "from-env", "flag"]


def test_each_value_knows_its_origin(home: Path, tmp_path: Path) -> None:
    (tmp_path / "flunq.toml").write_text("workers = 3\n")
    origins = load(home, tmp_path, {"partitions": 4}, DB_TYPE="memory").origins
    assert origins["workers"] == Origin(source="project", where=str(tmp_path / "flunq.toml"))
    assert origins["db_type"] == Origin(source="environment", where="DB_TYPE")
    assert origins["partitions"].source == "flag"


def test_the_nearest_project_file_counts(home: Path, tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.flunq]\nworkers = 5\n")
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert load(home, inner).settings.workers == 5


def test_relative_paths_belong_to_their_file(home: Path, tmp_path: Path) -> None:
    (tmp_path / "flunq.toml").write_text('data = "state"\nfunctions = ["steps.py", "my.steps"]\n')
    inner = tmp_path / "inner"
    inner.mkdir()
    settings = load(home, inner).settings
    assert settings.data == str(tmp_path / "state")
    assert settings.functions == (str(tmp_path / "steps.py"), "my.steps")


def test_an_unknown_key_names_file_key_and_nearest_match(home: Path, tmp_path: Path) -> None:
    (tmp_path / "flunq.toml").write_text("worker = 3\n")
    with pytest.raises(UsageError, match="unknown setting 'worker'") as caught:
        load(home, tmp_path)
    assert caught.value.hint == "did you mean workers?"
    assert caught.value.details["where"] == str(tmp_path / "flunq.toml")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FLUNQ_WORKERS", "many"),
        ("FLUNQ_WORKERS", "0"),
        ("FLUNQ_LEASE_TTL", "3 parsecs"),
        ("FLUNQ_DURABILITY", "maybe"),
        ("FLUNQ_TENANT", "a b"),
    ],
)
def test_a_bad_value_names_its_variable(
    variable: str, value: str, home: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        load(home, tmp_path, None, **{variable: value})
    assert caught.value.details["where"] == variable


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("FLUNQ_LEASE_TTL", "500ms", "lease_ttl", 0.5),
        ("FLUNQ_LEASE_TTL", "2", "lease_ttl", 2.0),
        ("FLUNQ_BLOB_THRESHOLD", "1MiB", "blob_threshold", 2**20),
        ("FLUNQ_FUNCTIONS", "a, b.py", "functions", ("a", "b.py")),
        ("EVENT_STREAM_TYPE", "memory", "event_stream_type", "memory"),
    ],
)
def test_the_environment_is_text_and_becomes_values(
    variable: str, text: str, field: str, value: object, home: Path, tmp_path: Path
) -> None:
    assert getattr(load(home, tmp_path, None, **{variable: text}).settings, field) == value


def test_broken_toml_names_the_file(home: Path, tmp_path: Path) -> None:
    (tmp_path / "flunq.toml").write_text("workers = \n")
    with pytest.raises(UsageError) as caught:
        load(home, tmp_path)
    assert caught.value.details["where"].endswith("flunq.toml")


def test_a_context_that_does_not_exist_is_not_found(home: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load(home, tmp_path, FLUNQ_CONTEXT="nowhere")


def test_the_selected_context_gives_addresses(home: Path, tmp_path: Path) -> None:
    store = ContextStore(home)
    store.save(Context(name="local", api_url="http://127.0.0.1:1", data_dir="/data"))
    store.select("local")
    loaded = load(home, tmp_path)
    assert (loaded.settings.api_url, loaded.settings.data) == ("http://127.0.0.1:1", "/data")
    assert loaded.settings.context == "local"
    assert loaded.origins["api_url"] == Origin(source="context", where="local")


def test_the_token_of_the_environment_wins(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ContextStore(home)
    store.save(Context(name="local", token="from-context"))
    store.select("local")
    monkeypatch.delenv("FLUNQ_TOKEN", raising=False)
    assert load(home, tmp_path).token == "from-context"
    monkeypatch.setenv("FLUNQ_TOKEN", "from-environment")
    assert load(home, tmp_path).token == "from-environment"


def test_the_schema_in_the_repository_is_current() -> None:
    assert json.loads(SCHEMA.read_text()) == config.json_schema(), "run: just generate"


def test_the_schema_agrees_with_the_reader() -> None:
    validator = jsonschema.Draft202012Validator(config.json_schema())
    good = {"workers": 2, "lease_ttl": "500ms", "functions": ["a"], "blob_threshold": 5}
    assert validator.is_valid(good)
    for bad in ({"worker": 2}, {"workers": 0}, {"lease_ttl": "3 parsecs"}, {"tenant": "a b"}):
        assert not validator.is_valid(bad)


def test_programs_are_allowed_by_flag_variable_or_file(home: Path, tmp_path: Path) -> None:
    assert load(home, tmp_path).settings.programs is None
    assert load(home, tmp_path, FLUNQ_PROGRAMS="true").settings.programs is True
    assert load(home, tmp_path, {"programs": False}, FLUNQ_PROGRAMS="1").settings.programs is False
    (tmp_path / "flunq.toml").write_text('programs = true\nprogram_memory = "512MiB"\n')
    settings = load(home, tmp_path).settings
    assert (settings.programs, settings.program_memory) == (True, 512 << 20)


@pytest.mark.parametrize("origin", ["*", "null", "ops.example.com", "https://ops.example.com/"])
def test_an_origin_is_written_as_browsers_say_it(home: Path, tmp_path: Path, origin: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(home, tmp_path, {"cors_origins": (origin,)})
    assert caught.value.message.startswith("--cors-origin: ")
    kept = load(home, tmp_path, {"cors_origins": ("http://[::1]:80",)})
    assert kept.settings.cors_origins == ("http://[::1]:80",)


def test_a_wrong_flag_is_named_as_it_was_typed(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(home, tmp_path, {"api_port": 99999})
    assert caught.value.message.startswith("--api-port: ")
    with pytest.raises(UsageError, match="api_port"):
        load(home, tmp_path, FLUNQ_API_PORT="99999")
