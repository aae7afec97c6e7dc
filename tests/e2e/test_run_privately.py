"""``flunq run`` without a cluster: everything it starts ends with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import BOOM, DOUBLE, FUNCTIONS, HELLO, PAUSE, interrupted
from tests.support.running import folders_in

if TYPE_CHECKING:
    from tests.support.cli import Flunq

ENVELOPE = {"id", "workflow", "status", "output", "error"}
TWO_STEPS = """\
document: {dsl: 1.0.3, namespace: tests, name: two, version: 1.0.0}
do:
  - first:
      set: {n: 1}
  - tell:
      emit:
        event:
          with: {source: https://example.com, type: com.example.told, data: {n: "${ .n }"}}
      output: {as: "${ .type }"}
"""
TALKATIVE = """\
import logging
import subprocess
import sys
import flunq

print("while it is imported")
logging.basicConfig(stream=sys.stdout, format="%(message)s", force=True)


@flunq.function("double")
def double(n: int) -> int:
    print("while it runs")
    logging.warning("to a logger")
    subprocess.run(["echo", "from a program"], check=True)
    return 2 * n
"""
LINGERING = """\
import time
import flunq


@flunq.function("double")
def double(n: int) -> int:
    for _ in range(200):
        print("it goes on", flush=True)
        time.sleep(0.01)
    return 2 * n
"""
LISTEN = """\
document: {dsl: 1.0.3, namespace: tests, name: listen, version: 1.0.0}
do:
  - hear:
      listen:
        to:
          one:
            with: {type: com.example.paid}
"""


@pytest.fixture(autouse=True)
def documents(tmp_path: Path) -> Path:
    texts = {"hello": HELLO, "pause": PAUSE, "boom": BOOM, "double": DOUBLE, "two": TWO_STEPS}
    for name, content in texts.items():
        (tmp_path / f"{name}.yaml").write_text(content)
    (tmp_path / "steps.py").write_text(FUNCTIONS)
    return tmp_path


def test_the_output_is_json_and_nothing_else(flunq: Flunq) -> None:
    shown = flunq("run", "hello.yaml", "-i", '{"name": "Ada"}', "-q")
    assert (shown.code, shown.json, shown.err) == (0, {"greeting": "Hello, Ada"}, "")


def test_input_comes_from_a_file_and_the_document_from_stdin(flunq: Flunq) -> None:
    (flunq.home / "in.json").write_text('{"name": "Bo"}')
    shown = flunq("run", "-", "--input", "@in.json", stdin=HELLO)
    assert shown.json == {"greeting": "Hello, Bo"}


def test_json_is_exactly_one_object(flunq: Flunq) -> None:
    shown = flunq("run", "hello.yaml", "--output", "json", "--id", "run-1")
    assert shown.code == 0
    assert set(shown.json) == ENVELOPE
    assert shown.json["id"] == "run-1"
    assert shown.json["workflow"] == {"namespace": "tests", "name": "hello", "version": "1.0.0"}
    assert (shown.json["status"], shown.json["error"]) == ("completed", None)


def test_a_trace_has_events_lifecycle_and_tasks(flunq: Flunq) -> None:
    shown = flunq("run", "two.yaml", "-o", "json", "--trace").json
    assert set(shown) == ENVELOPE | {"events", "lifecycle", "tasks"}
    assert [(event["type"], event["data"]) for event in shown["events"]] == [
        ("com.example.told", {"n": 1})
    ]
    assert shown["tasks"] == [
        {"name": "first", "reference": "/do/0/first", "status": "completed"},
        {"name": "tell", "reference": "/do/1/tell", "status": "completed"},
    ]
    assert shown["lifecycle"][0]["type"] == "io.serverlessworkflow.workflow.started.v1"
    assert shown["lifecycle"][-1]["type"] == "io.serverlessworkflow.workflow.completed.v1"


def test_a_fault_names_type_instance_and_source_line(flunq: Flunq) -> None:
    shown = flunq("run", "boom.yaml")
    assert (shown.code, shown.out) == (1, "")
    assert "faulted: Teapot (418): short" in shown.err
    assert "https://example.com/teapot" in shown.err
    assert "/do/1/broken" in shown.err
    assert "boom.yaml:5:5: - broken:" in shown.err


def test_a_fault_as_json_is_the_same_envelope(flunq: Flunq) -> None:
    shown = flunq("run", "boom.yaml", "-o", "json")
    assert shown.code == 1
    assert shown.json["status"] == "faulted"
    assert shown.json["error"] == {
        "type": "https://example.com/teapot",
        "status": 418,
        "title": "Teapot",
        "detail": "short",
        "instance": "/do/1/broken",
    }


def test_a_bad_document_is_rejected_before_anything_starts(flunq: Flunq) -> None:
    (flunq.home / "bad.yaml").write_text(HELLO.replace("set:", "sat:"))
    shown = flunq("run", "bad.yaml")
    assert (shown.code, shown.out) == (3, "")
    assert "bad.yaml:4:7: unknown property 'sat'" in shown.err
    as_json = flunq("run", "bad.yaml", "-o", "json")
    assert as_json.code == 3
    assert as_json.json["status"] == "rejected"
    assert as_json.json["errors"][0]["rule"] == "unknown-property"


def test_a_bad_input_is_rejected(flunq: Flunq) -> None:
    shown = flunq("run", "hello.yaml", "-i", "{name}")
    assert shown.code == 3
    assert "the input is rejected" in shown.err


def test_functions_are_hosted_when_they_are_named(flunq: Flunq) -> None:
    shown = flunq("run", "double.yaml", "-i", '{"n": 21}', "--functions", "steps.py")
    assert (shown.code, shown.json) == (0, 42)


@pytest.mark.parametrize("chosen", ["json", "table"])
def test_what_functions_print_is_no_data(flunq: Flunq, chosen: str) -> None:
    (flunq.home / "steps.py").write_text(TALKATIVE)
    shown = flunq("run", "double.yaml", "-i", '{"n": 21}', "--functions", "steps.py", "-o", chosen)
    assert shown.code == 0
    assert shown.json == 42 or shown.json["output"] == 42
    said = ["while it is imported", "while it runs", "to a logger", "from a program"]
    assert [line for line in shown.err.splitlines() if line in said] == said


def test_a_function_that_goes_on_prints_no_data_either(flunq: Flunq) -> None:
    (flunq.home / "steps.py").write_text(LINGERING)
    options = ["-i", '{"n": 21}', "--functions", "steps.py", "-o", "json", "--timeout", "300ms"]
    shown = flunq("run", "double.yaml", *options)
    assert shown.code == 5
    assert shown.json["type"] == "urn:flunq:error:wait-timeout"
    assert "it goes on" in shown.err


def test_an_unknown_function_is_refused_at_its_place(flunq: Flunq) -> None:
    shown = flunq("run", "double.yaml", "-i", '{"n": 1}')
    assert shown.code == 3
    assert (
        "double.yaml:4:13: no function called 'double' is registered [unknown-function]"
        in shown.err
    )
    assert "--functions" in shown.err


def test_a_time_limit_ends_the_wait(flunq: Flunq) -> None:
    shown = flunq("run", "pause.yaml", "--timeout", "200ms", "-o", "json")
    assert shown.code == 5
    assert shown.json["type"] == "urn:flunq:error:wait-timeout"


def test_detaching_needs_a_cluster(flunq: Flunq) -> None:
    shown = flunq("run", "hello.yaml", "--detach", "--private")
    assert shown.code == 2
    assert flunq("run", "hello.yaml", "--detach").code == 6


def test_events_of_a_file_reach_the_listener(flunq: Flunq) -> None:
    event = {"id": "1", "source": "/shop", "type": "com.example.paid", "data": {"n": 1}}
    (flunq.home / "events.json").write_text(json.dumps([event]))
    (flunq.home / "listen.yaml").write_text(LISTEN)
    shown = flunq("run", "listen.yaml", "--events", "events.json", "--timeout", "20s")
    assert (shown.code, shown.json) == (0, [{"n": 1}])


def test_forged_events_are_refused(flunq: Flunq) -> None:
    event = {"id": "1", "source": "https://example.com", "type": "io.flunq.forged"}
    (flunq.home / "events.json").write_text(json.dumps([event]))
    shown = flunq("run", "hello.yaml", "--events", "events.json")
    assert shown.code == 3
    assert "made by the engine alone" in shown.err


def test_nothing_is_left_behind(flunq: Flunq) -> None:
    folder = flunq.home / "temporary"
    folder.mkdir()
    environ = {"TMPDIR": str(folder)}
    assert flunq("run", "hello.yaml", environ=environ).code == 0
    assert flunq("run", "boom.yaml", environ=environ).code == 1
    assert list(folder.iterdir()) == []
    assert processes_that_mention(str(folder)) == []


def test_folders_of_programs_that_run_elsewhere_are_left_alone(flunq: Flunq) -> None:
    folder = flunq.home / "temporary"
    (folder / "flunq-run-0123456789abcdef").mkdir(parents=True)
    (folder / "flunq-private-killed").mkdir()
    assert flunq("run", "-", stdin=HELLO, environ={"TMPDIR": str(folder)}).code == 0
    assert folders_in(folder) == list(folder.iterdir())


def test_ctrl_c_ends_the_execution_with_its_cluster(
    flunq: Flunq, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = flunq.home / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    stopped = interrupted(flunq, "run", "pause.yaml", after="pause until")
    assert stopped.code == 130
    assert "Traceback" not in stopped.out
    assert list(folder.iterdir()) == []
    assert processes_that_mention(str(folder)) == []


def processes_that_mention(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found
