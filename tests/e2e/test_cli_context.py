"""``flunq context`` and ``flunq config`` as a user types them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli import Flunq


def test_contexts_are_added_listed_used_and_deleted(flunq: Flunq) -> None:
    assert flunq("context", "list", "-o", "json").json == []
    flunq("context", "add", "a", "--api-url", "http://127.0.0.1:1")
    flunq("context", "add", "b", "--nats-url", "nats://127.0.0.1:1", "--use")
    listed = flunq("context", "list", "-o", "json").json
    assert [(c["name"], c["selected"]) for c in listed] == [("a", False), ("b", True)]
    assert flunq("context", "delete", "b", "--yes").code == 0
    assert flunq("context", "show").code == 2


def test_use_dash_goes_back(flunq: Flunq) -> None:
    for name in ("a", "b"):
        flunq("context", "add", name, "--use")
    assert flunq("context", "use", "-").err == "using context a\n"


def test_a_secret_comes_from_a_file_and_is_never_printed(flunq: Flunq, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0p-secret\n")
    flunq("context", "add", "a", "--token-file", "token", "--use")
    for chosen in ("table", "json", "yaml", "csv"):
        assert "t0p-secret" not in flunq("context", "list", "-o", chosen).out
        assert "t0p-secret" not in flunq("context", "show", "-o", chosen).out


def test_a_secret_may_come_from_stdin(flunq: Flunq, tmp_path: Path) -> None:
    flunq("context", "add", "a", "--token-file", "-", stdin="t0ken\n")
    assert 'token = "t0ken"' in (tmp_path / "config" / "contexts" / "a.toml").read_text()


def test_deleting_without_a_terminal_needs_yes(flunq: Flunq) -> None:
    flunq("context", "add", "a")
    refused = flunq("context", "delete", "a")
    assert (refused.code, "add --yes" in refused.err) == (2, True)
    assert flunq("context", "show", "a").code == 0


def test_an_editor_changes_a_context(flunq: Flunq) -> None:
    flunq("context", "add", "a", "--api-url", "http://old")
    edited = flunq("context", "edit", "a", environ={"EDITOR": "sed -i s/old/new/"})
    assert edited.err == "saved context a\n"
    assert flunq("context", "show", "a", "-o", "json").json["api_url"] == "http://new"


def test_a_broken_edit_is_not_saved(flunq: Flunq) -> None:
    flunq("context", "add", "a", "--api-url", "http://old")
    broken = flunq("context", "edit", "a", environ={"EDITOR": "sed -i s/api_url/api_uri/"})
    assert broken.code == 3
    assert flunq("context", "show", "a", "-o", "json").json["api_url"] == "http://old"


def test_an_address_that_nobody_answers_is_unavailable(flunq: Flunq) -> None:
    flunq("context", "add", "a", "--nats-url", "nats://127.0.0.1:1")
    tried = flunq("context", "validate", "a", "--connect")
    assert tried.code == 6
    assert "nats://127.0.0.1:1: connection refused (a)" in tried.err
    assert "flunq up" in tried.err


def test_config_shows_each_value_and_its_origin(flunq: Flunq, tmp_path: Path) -> None:
    (tmp_path / "flunq.toml").write_text("workers = 2\n")
    shown = flunq("config", "show", "--origin", "-o", "json", environ={"FLUNQ_NODES": "3"}).json
    rows = {row["setting"]: row for row in shown}
    assert rows["workers"]["value"] == 2
    assert rows["workers"]["origin"].startswith("project ")
    assert rows["nodes"] == {"setting": "nodes", "value": 3, "origin": "environment FLUNQ_NODES"}
    assert rows["db_type"]["origin"] == "default"


def test_a_mistake_in_the_project_file_is_wrong_usage(flunq: Flunq, tmp_path: Path) -> None:
    (tmp_path / "flunq.toml").write_text("worker = 2\n")
    shown = flunq("config", "show")
    assert shown.code == 2
    assert "unknown setting 'worker'" in shown.err
    assert "flunq.toml" in shown.err
    assert "did you mean workers?" in shown.err
