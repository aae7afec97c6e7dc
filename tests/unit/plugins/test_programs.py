from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flunq.sdk.executor import TaskError
from flunq.sdk.registry import load_executor
from flunq_plugins import programs
from flunq_plugins.programs import ProgramExecutor
from tests.support.http_stub import Answer, HttpStub
from tests.support.running import Runner, folders_in, numbers_in, short
from tests.support.waiting import eventually, is_alive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

linux = pytest.mark.linux
MANY = "i=0; while [ $i -lt 400 ]; do sleep 60 & i=$((i+1)); done; wait"


@pytest.fixture
async def run() -> AsyncIterator[Runner]:
    async with running() as runner:
        yield runner


@contextlib.asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Runner]:
    runner = Runner(ProgramExecutor(), **settings)
    try:
        yield runner
    finally:
        await runner.executor.aclose()
        runner.context.close()


def test_it_is_installed_as_a_plugin() -> None:
    assert load_executor("programs") is ProgramExecutor


async def test_a_command_gives_its_output_without_the_last_line_break(run: Runner) -> None:
    assert await run.shell("echo one; echo two; echo") == "one\ntwo"
    assert await run.shell("printf ' a '") == " a "
    assert await run.shell("true") == ""


async def test_arguments_are_the_parameters_of_the_command(run: Runner) -> None:
    assert await run.shell('echo "$1 $2 $#"', "Foo", "Bar") == "Foo Bar 2"
    assert await run.shell('echo "$1,$2,$3,$4"', 1, True, None, {"a": [1]}) == '1,true,,{"a":[1]}'


@pytest.mark.parametrize(
    "hostile",
    ["; touch pwned", "$(touch pwned)", "`touch pwned`", "a' 'b\" | cat", "-n", "*", "\n&\n"],
)
async def test_nothing_in_an_argument_is_interpreted(hostile: str, run: Runner) -> None:
    told = await run.shell('printf "[%s]" "$1" "$A"; ls', hostile, environment={"A": hostile})
    assert told == f"[{hostile}][{hostile}]"


async def test_input_is_a_text_or_json(run: Runner) -> None:
    assert await run.shell("cat", stdin="grüße\n") == "grüße"
    assert await run.shell("cat", stdin={"a": [1, None]}) == '{"a":[1,null]}'
    assert await run.shell("cat; echo end", stdin=None) == "end"
    assert await run.shell("cat", stdin=0) == "0"


async def test_the_environment_is_clean(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUNQ_SECRET_KEY", "hidden")
    told = await run.shell("env", environment={"A": 1, "B": {"c": True}, "C": None})
    names = {line.partition("=")[0] for line in told.splitlines()}
    own = {"FLUNQ_EXECUTION", "FLUNQ_KEY", "FLUNQ_ATTEMPT"}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "HOME", "LANG", "A", "B"} | own
    assert 'B={"c":true}' in told.splitlines()


async def test_a_program_is_told_who_calls(run: Runner) -> None:
    told = await run.shell(
        'echo "$FLUNQ_EXECUTION $FLUNQ_KEY $FLUNQ_ATTEMPT $TRACEPARENT"',
        environment={"FLUNQ_KEY": "mine"},
        execution="e",
        key="e:/do/0/x",
        attempt=3,
        traceparent="00-1-2-01",
    )
    assert told == "e e:/do/0/x 3 00-1-2-01"


async def test_a_program_works_in_a_folder_of_its_own_that_goes_away(run: Runner) -> None:
    told = await run.shell('echo x > file; pwd; echo "$HOME"; ls; stat -c %a .')
    folder, home, listed, mode = told.splitlines()
    assert (home, listed, mode) == (folder, "file", "700")
    assert not Path(folder).exists()


RESULTS = [
    ("stdout", 0, "out"),
    ("stderr", 0, "err"),
    ("none", 0, None),
    ("code", 0, 0),
    ("all", 0, {"code": 0, "stdout": "out", "stderr": "err"}),
    ("code", 7, 7),
    ("all", 7, {"code": 7, "stdout": "out", "stderr": "err"}),
]


@pytest.mark.parametrize(("returns", "code", "expected"), RESULTS)
async def test_what_is_returned(returns: str, code: int, expected: Any, run: Runner) -> None:
    command = f"echo out; echo err >&2; exit {code}"
    assert await run.shell(command, **{"return": returns}) == expected


@pytest.mark.parametrize("returns", ["stdout", "stderr", "none"])
async def test_another_exit_code_than_0_is_an_error(returns: str, run: Runner) -> None:
    command = "echo out; echo 'no such order' >&2; exit 3"
    error = await run.fails("shell", {"command": command}, **{"return": returns})
    assert short(error) == ("runtime", 500)
    assert error.detail == "exit code 3: no such order"


async def test_a_signal_counts_as_in_a_shell(run: Runner) -> None:
    assert await run.shell("kill -9 $$", **{"return": "code"}) == 137
    assert "SIGTERM" in str((await run.fails("shell", {"command": "kill $$"})).detail)


async def test_output_that_is_no_text_is_replaced_where_it_is_not(run: Runner) -> None:
    assert await run.shell(r"printf 'a\377\000b'") == "a\ufffd\x00b"


async def test_endless_output_is_an_error_and_ends_the_program(tmp_path: Path) -> None:
    async with running(max_body=1 << 20) as run:
        error = await run.fails("shell", {"command": f"echo $$ > {tmp_path}/pid; exec yes"})
        assert short(error) == ("runtime", 500)
        assert "stdout is larger than 1048576 bytes" in str(error.detail)
        assert not is_alive((await numbers_in(tmp_path / "pid", 1))[0])


async def test_output_that_nobody_wants_is_not_kept() -> None:
    async with running(max_body=1000) as run:
        command = "head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2; echo end >&2"
        assert await run.shell(command, **{"return": "code"}) == 0
        error = await run.fails("shell", {"command": f"{command}; exit 1"}, **{"return": "none"})
        assert str(error.detail).endswith("end")


async def test_a_program_need_not_read_its_input(run: Runner) -> None:
    assert await run.shell("echo done", stdin="x" * 10_000_000) == "done"
    assert await run.shell("wc -c", stdin="x" * 10_000_000) == "10000000"


async def test_what_the_program_leaves_running_ends_with_it(run: Runner, tmp_path: Path) -> None:
    command = f"""
    (sleep 60 & echo $! >> {tmp_path}/pids)
    setsid sh -c 'echo $$ >> {tmp_path}/pids; sleep 60 & echo $! >> {tmp_path}/pids; wait' &
    while [ $(wc -l < {tmp_path}/pids) -lt 3 ]; do sleep 0.01; done; echo over"""
    assert await run.shell(command) == "over"
    assert not any(map(is_alive, await numbers_in(tmp_path / "pids", 3)))


@linux
async def test_a_program_with_too_many_processes_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    async with running(program_processes=50) as run:
        error = await run.fails("shell", {"command": MANY}, **{"return": "code"})
    assert short(error) == ("runtime", 500)
    assert "more than 50 processes" in str(error.detail)
    assert not folders_in(tmp_path)


@linux
async def test_processes_that_detach_themselves_are_counted_too(tmp_path: Path) -> None:
    detached = MANY.replace("sleep 60", f"setsid sh -c 'echo $$ >> {tmp_path}/pids; sleep 60'")
    async with running(program_processes=20) as run:
        await run.fails("shell", {"command": detached})
    assert not any(map(is_alive, await numbers_in(tmp_path / "pids", 5)))


async def test_memory_is_limited() -> None:
    async with running(program_memory=256 << 20) as run:
        code = "print(len(bytearray(1 << 30)))"
        error = await run.fails("script", {"language": "python", "code": code})
    assert "MemoryError" in str(error.detail)


async def test_files_are_limited() -> None:
    async with running(program_file_size=1 << 20) as run:
        error = await run.fails("shell", {"command": "exec head -c 5000000 /dev/zero > big"})
    assert short(error) == ("runtime", 500)


@pytest.mark.parametrize("patience", ["exec sleep 60", "trap '' TERM; sleep 60; sleep 60"])
async def test_a_withdrawn_program_is_gone(
    patience: str, run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = f"echo $$ >> {tmp_path}/pids; sleep 60 & echo $! >> {tmp_path}/pids; {patience}"
    task = asyncio.create_task(run.shell(command))
    processes = await numbers_in(tmp_path / "pids", 2)
    assert len(folders_in(tmp_path)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(map(is_alive, processes))
    assert not folders_in(tmp_path)


async def test_a_program_may_tidy_up_when_it_is_withdrawn(run: Runner, tmp_path: Path) -> None:
    command = (
        f"trap 'echo bye > {tmp_path}/bye; exit' TERM; echo 1 > {tmp_path}/on; sleep 60 & wait"
    )
    task = asyncio.create_task(run.shell(command))
    await numbers_in(tmp_path / "on", 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "bye").read_text() == "bye\n"


@pytest.mark.parametrize("turns", range(0, 12, 2))
async def test_a_program_can_be_withdrawn_while_it_starts(
    turns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    async with running() as run:
        task = asyncio.create_task(run.shell(f"echo $$ > {tmp_path}/pid; exec sleep 60"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await eventually(lambda: not folders_in(tmp_path))
    if (tmp_path / "pid").exists():
        assert not any(is_alive(int(word)) for word in (tmp_path / "pid").read_text().split())


async def test_a_second_interruption_does_not_leave_the_program_behind(tmp_path: Path) -> None:
    async with running() as run:
        command = f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 1; done"
        task = asyncio.create_task(run.shell(command))
        (process,) = await numbers_in(tmp_path / "pid", 1)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not is_alive(process)


NODE = """
import asyncio, sys
from flunq_plugins.programs import ProgramExecutor
from tests.support.running import Runner
asyncio.run(Runner(ProgramExecutor()).shell(sys.argv[1]))
"""


@linux
async def test_a_killed_node_leaves_no_program_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = f"echo $$ >> {tmp_path}/pids; setsid sh -c 'echo $$ >> {tmp_path}/pids; sleep 60'"
    node = await asyncio.create_subprocess_exec(sys.executable, "-c", NODE, command)
    processes = await numbers_in(tmp_path / "pids", 2)
    node.send_signal(signal.SIGKILL)
    await node.wait()
    await eventually(lambda: not any(map(is_alive, processes)) and not folders_in(tmp_path))


@linux
async def test_a_killed_warden_takes_the_program_along(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    task = asyncio.create_task(run.shell(f"echo $PPID $$ > {tmp_path}/pids; exec sleep 60"))
    warden, program = await numbers_in(tmp_path / "pids", 2)
    os.kill(warden, signal.SIGKILL)
    with pytest.raises(TaskError, match="warden was killed"):
        await task
    await eventually(lambda: not is_alive(program))
    assert not folders_in(tmp_path)


async def test_nobody_waits_for_a_program_that_is_not_awaited(run: Runner, tmp_path: Path) -> None:
    await run.shell(f"echo $$ > {tmp_path}/pid; read line; sleep 60", **{"await": False})
    (process,) = await numbers_in(tmp_path / "pid", 1)
    assert is_alive(process)
    # Delivered again, it is not started again.
    await run.shell(f"echo twice > {tmp_path}/pid", **{"await": False})
    await run.executor.aclose()
    assert not is_alive(process)
    assert (tmp_path / "pid").read_text().split() == [str(process)]


async def test_a_failure_in_the_background_is_in_the_log(
    run: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    await run.shell("echo oh no >&2; exit 4", **{"await": False})
    await eventually(lambda: caplog.messages)
    assert "exit code 4: oh no" in caplog.text


async def test_a_program_that_cannot_be_started_is_an_error_at_once(run: Runner) -> None:
    error = await run.fails("shell", {"command": "true", "arguments": ["x" * 200_000]})
    assert short(error) == ("runtime", 500)
    assert "stdin" in str(error.detail)


async def test_the_background_is_bounded(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "MAX_BACKGROUND", 1)
    await run.shell("sleep 60", task="one", **{"await": False})
    error = await run.fails("shell", {"command": "sleep 60"}, task="two", **{"await": False})
    assert short(error) == ("runtime", 503)


@pytest.mark.parametrize(
    ("process", "members"),
    [
        ({"command": ""}, {}),
        ({}, {}),
        ({"command": "true", "arguments": {"a": 1}}, {}),
        ({"command": "true", "environment": [1]}, {}),
        ({"command": "true", "environment": {"a=b": 1}}, {}),
        ({"command": "true", "arguments": ["a\0b"]}, {}),
        ({"command": "true"}, {"return": "everything"}),
    ],
)
async def test_what_makes_no_sense_is_refused(
    process: dict[str, Any], members: dict[str, Any], run: Runner
) -> None:
    assert short(await run.fails("shell", process, **members)) == ("validation", 400)


async def test_programs_have_to_be_allowed() -> None:
    async with running(programs=False) as run:
        error = await run.fails("shell", {"command": "true"})
    assert short(error) == ("authorization", 403)
    assert "flunq serve --programs" in str(error.detail)


# --- scripts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["python", "Python", "py"])
async def test_a_python_script(language: str, run: Runner) -> None:
    code = "import os, sys\nprint(sys.argv[1:], sys.stdin.read(), os.environ['foo'])"
    script = {
        "language": language,
        "code": code,
        "arguments": ["a", 2],
        "stdin": "in",
        "environment": {"foo": "bar"},
    }
    assert await run("script", script) == "['a', '2'] in bar"


async def test_a_python_script_says_where_it_failed(run: Runner) -> None:
    error = await run.fails("script", {"language": "python", "code": "x = 1\nraise OSError(x)"})
    assert str(error.detail).startswith("exit code 1: Traceback")
    assert 'script.py", line 2' in str(error.detail)


async def test_a_script_is_not_limited_to_what_fits_a_command_line(run: Runner) -> None:
    code = f"text = '{'x' * 1_000_000}'\nprint(len(text))"
    assert await run("script", {"language": "python", "code": code}) == "1000000"


@pytest.mark.node
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("const [_, __, a] = process.argv;\nconsole.log(`${a}`)", "hello"),
        ("import { readFileSync } from 'node:fs';\nconsole.log(readFileSync(0, 'utf8'))", "in"),
        ("const fs = require('fs'); console.log(fs.readFileSync(0, 'utf8'))", "in"),
        ("console.log(await Promise.resolve(process.env.foo))", "bar"),
        ("answer = 42; console.log(answer)", "42"),
    ],
)
@pytest.mark.parametrize("language", ["javascript", "js"])
async def test_a_javascript(language: str, code: str, expected: str, run: Runner) -> None:
    script = {
        "language": language,
        "code": code,
        "arguments": ["hello"],
        "stdin": "in",
        "environment": {"foo": "bar"},
    }
    assert await run("script", script) == expected


async def test_without_node_the_error_says_what_to_install(
    run: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    error = await run.fails("script", {"language": "javascript", "code": "1"})
    assert short(error) == ("configuration", 400)
    assert "flunq[javascript]" in str(error.detail)


async def test_other_languages_are_not_known(run: Runner) -> None:
    error = await run.fails("script", {"language": "ruby", "code": "puts 1"})
    assert short(error) == ("configuration", 400)


async def test_a_script_from_a_url(run: Runner) -> None:
    async with HttpStub() as stub:
        url = stub.answer("/greet.py", Answer(body=b"print('from afar')"))
        source = {"endpoint": {"uri": url}}
        assert await run("script", {"language": "python", "source": source}) == "from afar"


async def test_a_script_from_a_file(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "greet.py").write_text("import sys\nprint('hi', sys.argv[1])")
    source = {"endpoint": (tmp_path / "greet.py").as_uri()}
    script = {"language": "python", "source": source, "arguments": ["Ada"]}
    assert await run("script", script) == "hi Ada"


async def test_a_script_that_is_not_there_is_an_error(run: Runner, tmp_path: Path) -> None:
    source = {"endpoint": (tmp_path / "none.py").as_uri()}
    with pytest.raises(TaskError, match=r"none\.py"):
        await run("script", {"language": "python", "source": source})
