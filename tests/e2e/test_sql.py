"""``flunq sql`` as a user types it: one query, the shell, a cluster that is gone or far away."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import BOOM, HELLO, PAUSE, running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Flunq

ENDLESS = (
    "select count(*) from range(1000000) a, range(1000000) b, range(100000) c where random() > 2"
)
PATIENCE = 30.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    with running_cluster(tmp_path_factory.mktemp("sql")) as flunq:
        for name, text in (("hello", HELLO), ("boom", BOOM), ("pause", PAUSE)):
            path = flunq.home / f"{name}.yaml"
            path.write_text(text)
            assert flunq("apply", str(path)).code == 0
        assert flunq("start", "hello", "--id", "h1", "--tag", "team=red").code == 0
        assert flunq("start", "boom", "--id", "b1").code == 0
        flunq("wait", "b1")
        flunq("wait", "h1")
        yield flunq


def test_an_execution_is_seen_at_once(cluster: Flunq) -> None:
    for number in range(2):
        assert cluster("start", "pause", "--id", f"p{number}").code == 0
        found = cluster("sql", "-o", "json", "from executions", "-p", "unused=1")
        assert found.code == 3
        found = cluster("sql", "-o", "json", "select id from executions where workflow = 'pause'")
        assert {"id": f"p{number}"} in found.json


def test_every_format_says_the_same(cluster: Flunq) -> None:
    query = "select id, status, tags['team'] as team from executions where id = 'h1'"
    row = {"id": "h1", "status": "completed", "team": "red"}
    assert cluster("sql", query, "-o", "json").json == [row]
    assert (
        cluster("sql", query, "-o", "jsonl").out
        == '{"id":"h1","status":"completed","team":"red"}\n'
    )
    assert cluster("sql", query, "-o", "csv").out == "id,status,team\nh1,completed,red\n"
    assert cluster("sql", query).out.split() == ["ID", "STATUS", "TEAM", "h1", "completed", "red"]
    assert cluster("sql", query, "-o", "yaml").out == "- id: h1\n  status: completed\n  team: red\n"


def test_parquet_goes_into_a_file_or_a_pipe(cluster: Flunq, tmp_path: Path) -> None:
    target = tmp_path / "answer.parquet"
    query = "select id from executions where id = $id"
    done = cluster("sql", query, "-p", "id=h1", "-o", "parquet", "--output-file", str(target))
    assert (done.code, done.out) == (0, "")
    assert target.read_bytes()[:4] == b"PAR1"


def test_a_query_comes_from_stdin_or_a_file(cluster: Flunq, tmp_path: Path) -> None:
    path = tmp_path / "query.sql"
    path.write_text("select 6 * 7 as answer;\n")
    for arguments in (("-",), (f"@{path}",), ("-f", str(path))):
        done = cluster("sql", *arguments, "-o", "csv", stdin="select 6 * 7 as answer")
        assert done.out == "answer\n42\n"


def test_what_is_wrong_is_said_in_one_line(cluster: Flunq) -> None:
    done = cluster("sql", "select statu from executions")
    assert (done.code, done.out) == (3, "")
    assert done.err.splitlines()[0] == 'error: Referenced column "statu" not found in FROM clause!'
    assert 'did you mean "status"?' in done.err
    assert "Traceback" not in done.err
    assert cluster("sql", "drop view events").code == 3
    assert cluster("sql", "").code == 2


def test_the_schema_is_printed(cluster: Flunq) -> None:
    tables = [row["table"] for row in cluster("sql", "--schema", "-o", "json").json]
    assert tables[:3] == ["events", "executions", "tasks"]
    columns = cluster("sql", "--schema", "tasks", "-o", "json").json
    assert ("queue_ms", "DOUBLE") in [(row["column"], row["type"]) for row in columns]
    assert cluster("sql", "--schema", "taks").code == 2


def test_workflows_are_those_of_the_catalog(cluster: Flunq) -> None:
    found = cluster(
        "sql", "select name, registered, executions from workflows order by 1", "-o", "json"
    )
    assert [row["name"] for row in found.json] == ["boom", "hello", "pause"]
    assert all(row["registered"] for row in found.json)


def test_another_machine_lets_the_cluster_answer(cluster: Flunq) -> None:
    found = next((cluster.home / "config").rglob("local.toml"))
    far = found.with_name("far.toml")
    far.write_text(re.sub(r"(?m)^data_dir.*\n", "", found.read_text()))
    far.chmod(0o600)
    done = _from_afar(cluster, "select status from executions where id = 'b1'")
    assert (done.stdout, done.stderr, done.returncode) == ("status\nfaulted\n", "", 0)
    many = _from_afar(cluster, "select i, repeat('x', 90) as x from range(9000) t(i)")
    assert len(many.stdout.splitlines()) == 9_001
    assert _from_afar(cluster, "select * from glob('/*')").returncode == 3
    stopped = _from_afar(cluster, ENDLESS, "--timeout", "1s")
    assert (stopped.returncode, "took longer" in stopped.stderr) == (5, True)


def _from_afar(cluster: Flunq, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a query where no data folder is known."""
    environment = cluster.environment()
    del environment["FLUNQ_DATA"]
    command = [sys.executable, "-m", "flunq", "-c", "far", "sql", "-o", "csv", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_ctrl_c_ends_a_query_and_its_process(cluster: Flunq) -> None:
    command = [sys.executable, "-m", "flunq", "sql", ENDLESS]
    with subprocess.Popen(command, env=cluster.environment(), stderr=subprocess.PIPE) as running:
        child = _child_of(running.pid)
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == 130
    assert not Path(f"/proc/{child}").exists()


def _child_of(pid: int) -> int:
    """Wait until a query's process was started."""
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = time.monotonic() + PATIENCE
    while not (children := tasks.read_text().split()):
        assert time.monotonic() < deadline
    return int(children[0])


class Terminal:
    """A shell at a pseudo-terminal."""

    def __init__(self, cluster: Flunq) -> None:
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            environment = {**cluster.environment(), "TERM": "xterm", "NO_COLOR": "1"}
            os.execve(sys.executable, [sys.executable, "-m", "flunq", "sql"], environment)
        self.seen = ""

    def expect(self, text: str) -> str:
        """Read until a text comes; return what came before and with it."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen:
            ready, _, _ = select.select([self._file], [], [], deadline - time.monotonic())
            assert ready, f"no {text!r} in {self.seen!r}"
            self.seen += os.read(self._file, 65536).decode(errors="replace")
        found, self.seen = self.seen.split(text, 1)
        return found + text

    def interrupt(self, text: str) -> None:
        """Press Ctrl-C until a text comes: a prompt is shown just before it can be interrupted."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen and time.monotonic() < deadline:
            self.type("\x03")
            while select.select([self._file], [], [], 0.5)[0] and text not in self.seen:
                self.seen += os.read(self._file, 65536).decode(errors="replace")
        self.expect(text)

    def type(self, text: str) -> None:
        """Send keys."""
        os.write(self._file, text.encode())

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self._file)
        return os.waitstatus_to_exitcode(status)


def test_the_shell_answers_completes_and_remembers(cluster: Flunq, tmp_path: Path) -> None:
    shell = Terminal(cluster)
    shell.expect("flunq> ")
    shell.type("select id\n")
    shell.expect("...> ")
    shell.type("from executions where id = 'h1';\n")
    shell.expect("h1\r\n")
    shell.expect("flunq> ")
    shell.type("from dead_l\t;\n")
    assert "dead_letters" in shell.expect("EXECUTI")
    shell.expect("flunq> ")
    shell.type(".mode json\n.timer on\nselect 6 * 7 as answer;\n")
    shell.expect('"answer": 42')
    shell.expect("1 row in")
    shell.type(f".export {tmp_path}/out.csv\n")
    shell.expect("written to")
    assert (tmp_path / "out.csv").read_text() == "answer\n42\n"
    shell.type("nonsense;\n")
    shell.expect("syntax error")
    shell.type(".tabels\n")
    shell.expect(".tables")
    shell.type(".quit\n")
    assert shell.end() == 0
    kept = next(cluster.home.rglob("sql_history"))
    assert "where id = 'h1';" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


def test_ctrl_c_cancels_and_ctrl_d_leaves(cluster: Flunq) -> None:
    shell = Terminal(cluster)
    shell.expect("flunq> ")
    shell.type(f"{ENDLESS};\n")
    shell.expect("> 2;")
    _child_of(shell.pid)
    shell.type("\x03")
    shell.expect("cancelled")
    shell.expect("flunq> ")
    shell.type("select 'never ends\n")
    shell.expect("...> ")
    shell.interrupt("flunq> ")
    shell.type("\x04")
    assert shell.end() == 0


def test_without_a_cluster_the_archive_answers(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as flunq:
        path = tmp_path / "hello.yaml"
        path.write_text(HELLO)
        assert flunq("run", str(path)).code == 0
        assert flunq("down").code == 0
        found = flunq("sql", "-o", "csv", "select status from executions")
        assert found.out == "status\ncompleted\n"
        assert "archive" in found.err
