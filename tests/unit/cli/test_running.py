"""Coroutines as commands."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from typer.exceptions import Exit

from flunq.cli.exits import ExitCode
from flunq.cli.running import run_async


async def interrupt_myself(number: signal.Signals, cleaned: list[str]) -> None:
    try:
        os.kill(os.getpid(), number)
        await asyncio.Event().wait()
    finally:
        cleaned.append("clean")


async def answer() -> int:
    return 42


def test_the_result_of_the_coroutine_is_returned() -> None:
    assert run_async(answer()) == 42


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cleans_up_and_ends_with_the_code_of_the_command(number: signal.Signals) -> None:
    cleaned: list[str] = []
    with pytest.raises(Exit) as caught:
        run_async(interrupt_myself(number, cleaned), on_interrupt=ExitCode.DONE)
    assert (caught.value.exit_code, cleaned) == (0, ["clean"])


def test_an_interrupted_wait_ends_with_130() -> None:
    with pytest.raises(Exit) as caught:
        run_async(interrupt_myself(signal.SIGINT, []))
    assert caught.value.exit_code == ExitCode.INTERRUPTED


async def clean_up_for_ever() -> None:
    try:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()


def test_the_second_interrupt_does_not_wait_for_the_clean_up() -> None:
    with pytest.raises(KeyboardInterrupt):
        run_async(clean_up_for_ever())
