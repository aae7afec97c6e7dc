"""The child processes that evaluate untrusted programs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from flunq.core.expressions import Answer, Need, compile_expression
from flunq.engines.jq_inline import InlineEngine, evaluate_inline
from flunq.engines.jq_process import JqPool
from flunq.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def raw(program: str, value: Any = None, **variables: Any) -> Need:
    """Return a need as an attacker would send it, past the checks of the compiler."""
    return Need(key="k", program=program, input=value, variables=variables)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[JqPool]:
    async with JqPool(size=1, deadline=5) as pool:
        yield pool


pytestmark = pytest.mark.asyncio(loop_scope="module")


class TestAnswers:
    async def test_input_and_variables_reach_the_program(self, pool: JqPool) -> None:
        need = raw(".a + $context.b - $n", {"a": 1}, context={"b": 2}, n=5)
        assert await pool.evaluate(need) == Answer(value=-2)

    @pytest.mark.parametrize(
        ("program", "value"),
        [
            ("1, 2", 1),
            ("empty", None),
            ('"aBc" | test("B")', True),
            ("def f($x): $x * 2; f(4)", 8),
            ("1 # comment", 1),
            ("$__loc__.line", 1),
            ("nan", None),
            ("[1] | toarray", [1]),
            ("0 | todate", "1970-01-01T00:00:00Z"),
            ("0 | localtime | mktime", 0),
            ('"é😀" | explode | implode', "é😀"),
            ("debug", None),
        ],
    )
    async def test_the_first_result_is_the_answer(
        self, pool: JqPool, program: str, value: Any
    ) -> None:
        assert await pool.evaluate(raw(program)) == Answer(value=value)

    @pytest.mark.parametrize(
        ("program", "message"),
        [
            ('error("no")', "no"),
            ("1 +", "syntax error"),
            ("nope", "nope/0 is not defined"),
            ("$nope", "$nope is not defined"),
            ("[1] + 1", "cannot be added"),
        ],
    )
    async def test_a_bad_program_is_an_answer(
        self, pool: JqPool, program: str, message: str
    ) -> None:
        answer = await pool.evaluate(raw(program))
        assert answer.error is not None
        assert message in answer.error

    async def test_a_value_that_is_no_json_is_an_answer(self, pool: JqPool) -> None:
        answer = await pool.evaluate(raw(".", "\ud800"))
        assert answer.error is not None
        assert await pool.evaluate(raw("1")) == Answer(value=1)

    async def test_both_engines_agree(self, pool: JqPool) -> None:
        need = compile_expression('[scan("[a-z]+")] | $x + .').need("ab cd", {"x": ["é"]})
        assert await pool.evaluate(need) == evaluate_inline(need)
        assert await InlineEngine().evaluate(need) == Answer(value=["é", "ab", "cd"])


class TestGuards:
    @pytest.mark.parametrize(
        "program",
        [
            "env",
            "input",
            "[inputs]",
            "halt",
            "halt_error",
            "halt_error(3)",
            "input_filename",
            "input_line_number",
            "get_search_list",
            "modulemeta",
            "1) | env | (1",
            "1)) | env | ((1",
            'import "passwd" as $p {search: "/etc"}; $p',
            'include "a"; 1',
            "$__prog_args",
        ],
    )
    async def test_nothing_outside_is_reachable(self, pool: JqPool, program: str) -> None:
        answer = await pool.evaluate(raw(program))
        assert answer.error is not None

    async def test_the_environment_is_empty(
        self, pool: JqPool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FLUNQ_TEST_SECRET", "hunter2")
        assert await pool.evaluate(raw("$ENV")) == Answer(value={})
        assert await pool.evaluate(raw("$ENV.FLUNQ_TEST_SECRET")) == Answer(value=None)

    async def test_a_json_file_on_disk_is_unreachable(self, pool: JqPool, tmp_path: Path) -> None:
        (tmp_path / "secret.json").write_text('"hunter2"')
        program = f'import "secret" as $d {{search: "{tmp_path}"}}; $d'
        answer = await pool.evaluate(raw(program))
        assert answer.value is None
        assert "hunter2" not in str(answer.error)

    async def test_a_child_sees_no_environment_of_its_parent(self) -> None:
        before = children()
        async with JqPool(size=1) as pool:
            await pool.evaluate(raw("1"))
            (child,) = children() - before
            assert Path(f"/proc/{child}/environ").read_bytes() == b""


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def children() -> set[int]:
    """Return the child processes of this one that run libjq."""
    found: set[int] = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            status = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            command = (entry / "cmdline").read_text()
        except OSError:
            continue
        if int(status[1]) == os.getpid() and "jq_worker" in command and status[0] != "Z":
            found.add(int(entry.name))
    return found


class TestLimits:
    async def test_no_child_is_started_before_it_is_needed(self) -> None:
        async with JqPool(size=3) as pool:
            assert pool.children == 0
            await pool.evaluate(raw("1"))
            assert pool.children == 1

    async def test_an_endless_program_is_killed_at_its_deadline(self) -> None:
        async with JqPool(size=1, deadline=0.3) as pool:
            answer = await pool.evaluate(raw("last(repeat(1))"))
            assert answer.error == "the expression took longer than 0.3 s"
            assert await pool.evaluate(raw("1 + 1")) == Answer(value=2)

    @pytest.mark.parametrize("program", ['"x" * 1e9', "[range(1e9)]", "def f: [f]; f"])
    async def test_a_memory_bomb_ends_only_its_own_child(self, program: str) -> None:
        async with JqPool(size=1, deadline=20, memory=128 << 20) as pool:
            answer = await pool.evaluate(raw(program))
            assert answer.error is not None
            assert await pool.evaluate(raw("1 + 1")) == Answer(value=2)

    async def test_a_result_nested_too_deeply_is_an_error(self, pool: JqPool) -> None:
        answer = await pool.evaluate(raw("reduce range(5000) as $i (0; [.])"))
        assert answer.error is not None

    async def test_more_evaluations_than_children_wait_their_turn(self) -> None:
        async with JqPool(size=2) as pool:
            answers = await asyncio.gather(*(pool.evaluate(raw("$n", n=n)) for n in range(20)))
            assert [answer.value for answer in answers] == list(range(20))
            assert pool.children == 2

    async def test_a_cancelled_evaluation_gives_its_slot_back(self) -> None:
        async with JqPool(size=1, deadline=30) as pool:
            await pool.evaluate(raw("1"))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await pool.evaluate(raw("last(repeat(1))"))
            assert await pool.evaluate(raw("2")) == Answer(value=2)

    async def test_closing_leaves_no_child_behind(self) -> None:
        pool = JqPool(size=1, deadline=30)
        await pool.evaluate(raw("1"))
        stuck = asyncio.create_task(pool.evaluate(raw("last(repeat(1))")))
        await asyncio.sleep(0)
        await pool.aclose()
        answer = await stuck
        assert answer.error is not None
        assert pool.children == 0
        with pytest.raises(UnavailableError):
            await pool.evaluate(raw("1"))

    async def test_a_child_killed_while_idle_is_replaced(self) -> None:
        before = children()
        async with JqPool(size=1) as pool:
            await pool.evaluate(raw("1"))
            for child in children() - before:
                os.kill(child, signal.SIGKILL)
            assert await pool.evaluate(raw("3")) == Answer(value=3)

    async def test_a_child_killed_at_work_is_not_the_fault_of_the_program(self) -> None:
        before = children()
        async with JqPool(size=1, deadline=30) as pool:
            await pool.evaluate(raw("1"))
            slow = asyncio.create_task(pool.evaluate(raw("[range(300000)] | length")))
            await asyncio.sleep(0)
            for child in children() - before:
                os.kill(child, signal.SIGKILL)
            assert await slow == Answer(value=300000)

    async def test_a_child_does_not_outlive_its_parent(self) -> None:
        script = (
            "import asyncio, os, sys\n"
            "from flunq.core.expressions import Need\n"
            "from flunq.engines.jq_process import JqPool\n"
            "async def main():\n"
            "    pool = JqPool(size=1, deadline=60)\n"
            "    asyncio.ensure_future(pool.evaluate(\n"
            "        Need(key='', program='last(repeat(1))', input=None, variables={})))\n"
            "    while not pool.children: await asyncio.sleep(0.01)\n"
            "    print(*[c._process.pid for c in pool._busy], flush=True)\n"
            "    os.kill(os.getpid(), 9)\n"
            "asyncio.run(main())\n"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        async with asyncio.timeout(10):
            while is_running(int(output)):
                await asyncio.sleep(0.01)


FAT_PARENT = """
import asyncio
ballast = bytearray(400 << 20)
ballast[::4096] = b"1" * len(ballast[::4096])
del ballast
from flunq.core.expressions import compile_expression
from flunq.engines.jq_process import JqPool
need = compile_expression("now > 0").need(None, {})
async def main():
    async with JqPool(size=1) as pool:
        print(*[(await pool.evaluate(need)).value for _ in range(3)], pool.children)
asyncio.run(main())
"""


async def test_a_parent_that_once_was_large_has_children_that_live() -> None:
    command = (sys.executable, "-c", FAT_PARENT)
    parent = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await parent.communicate()
    assert out.split() == [b"True", b"True", b"True", b"1"]
