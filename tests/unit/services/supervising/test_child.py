from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from flunq.services.supervising.child import Child, ServicePlan
from flunq.services.supervising.health import ServiceReadiness
from flunq.services.supervising.process import Command

if TYPE_CHECKING:
    from pathlib import Path

WORKING = (
    "import os, signal; os.write(int(os.environ['FLUNQ_READY_FD']), b'ready\\n'); signal.pause()"
)


async def test_what_was_wrong_is_told_only_as_long_as_it_is(tmp_path: Path) -> None:
    command = Command(argv=[sys.executable, "-c", WORKING], log=str(tmp_path / "x.log"))
    plan = ServicePlan(name="nats", command=command, ready=ServiceReadiness())
    child = Child(plan, lambda _: None)
    child.reason = "killed by SIGKILL"
    keeping = asyncio.create_task(child.keep())
    await child.ready.wait()
    child.mark(healthy=False, reason="no space left on device")
    assert (child.status.state, child.status.reason) == ("unhealthy", "no space left on device")
    child.mark(healthy=True)
    assert (child.status.state, child.status.reason) == ("ready", "killed by SIGKILL")
    await child.stop()
    await keeping
