"""Signals as calls of a loop."""

from __future__ import annotations

import asyncio
import signal

from flunq.services.signals import handle_signals, release_signals


async def test_a_signal_makes_its_call_until_it_is_released() -> None:
    heard = asyncio.Event()
    handle_signals([signal.SIGUSR1], heard.set)
    signal.raise_signal(signal.SIGUSR1)
    async with asyncio.timeout(10):
        await heard.wait()
    release_signals([signal.SIGUSR1])
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_another_thread_is_left_alone() -> None:
    async def both() -> bool:
        handle_signals([signal.SIGUSR1], lambda: None)
        release_signals([signal.SIGUSR1])
        return asyncio.get_running_loop().is_running()

    async def elsewhere() -> bool:
        return await asyncio.to_thread(asyncio.run, both())

    assert asyncio.run(elsewhere())
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
