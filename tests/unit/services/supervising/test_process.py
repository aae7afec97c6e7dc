from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from flunq.services.supervising.process import Command, describe_exit, last_lines, spawn

FROM_CHILD = "import os; from os import environ as e"


def python(code: str, log: Path, **changes: object) -> Command:
    members = {"argv": [sys.executable, "-c", code], "log": str(log), **changes}
    return Command(**members)  # type: ignore[arg-type]


async def test_output_and_exit_code_of_a_child_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    process = spawn(python("import sys; print('hello'); sys.exit(7)", log))
    assert await process.wait_exit() == 7
    assert log.read_text() == "hello\n"
    assert log.stat().st_mode & 0o777 == 0o600


async def test_a_child_says_when_it_is_ready(tmp_path: Path) -> None:
    code = f"{FROM_CHILD}; os.write(int(e['FLUNQ_READY_FD']), b'ready\\n')"
    process = spawn(python(code, tmp_path / "x.log"))
    assert await process.wait_ready()
    assert await process.wait_exit() == 0


async def test_a_child_that_ends_was_never_ready(tmp_path: Path) -> None:
    process = spawn(python("pass", tmp_path / "x.log"))
    assert not await process.wait_ready()
    assert await process.wait_exit() == 0


async def test_a_child_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    code = (
        f"{FROM_CHILD}; import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "os.write(int(e['FLUNQ_READY_FD']), b'ready\\n');\n"
        "while True: signal.pause()"
    )
    process = spawn(python(code, tmp_path / "x.log"))
    assert await process.wait_ready()
    assert await process.stop(grace=0.2) == -signal.SIGKILL


async def test_a_child_that_was_stopped_can_still_be_ended(tmp_path: Path) -> None:
    process = spawn(python("import signal; signal.pause()", tmp_path / "x.log"))
    process.send(signal.SIGSTOP)
    assert await process.stop(grace=10) == -signal.SIGTERM


async def test_children_get_no_descriptors_but_their_own(tmp_path: Path) -> None:
    secret = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(secret, True)
    log = tmp_path / "x.log"
    code = "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"
    process = spawn(python(code, log, ours=False))
    await process.wait_exit()
    os.close(secret)
    # 3 is the listing itself.
    assert log.read_text() == "[0, 1, 2, 3]\n"


async def test_a_program_that_does_not_exist_leaves_no_descriptors(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(FileNotFoundError):
        spawn(Command(argv=["/no/such/program"], log=str(tmp_path / "x.log")))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_exits_are_described_for_people() -> None:
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "killed by SIGKILL"
    assert describe_exit(-99) == "killed by signal 99"


def test_the_last_words_are_those_of_the_last_run(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("an earlier run\n")
    start = log.stat().st_size
    with log.open("a") as file:
        file.write("one\n\ntwo\nthree\n")
    assert last_lines(log, 2, after=start) == ["two", "three"]
    assert last_lines(log, 9, after=start) == ["one", "two", "three"]
    assert last_lines(tmp_path / "missing", 2) == []
