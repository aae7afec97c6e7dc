from __future__ import annotations

import re
from pathlib import Path

from flunq.cli.topics import TOPICS

ROOT = Path(__file__).parents[3]
OUR_OWN = {
    "FLUNQ_BENCH",
    "FLUNQ_COMPLETE",
    "FLUNQ_CRASH_AT",
    "FLUNQ_CRASH_ONCE",
    "FLUNQ_LIFELINE_FD",
    "FLUNQ_NODE_CONFIG",
    "FLUNQ_READY_FD",
}
TOLD_TO_PROGRAMS = {"FLUNQ_ATTEMPT", "FLUNQ_EXECUTION", "FLUNQ_KEY"}


def test_every_variable_that_users_may_set_is_listed() -> None:
    sources = [path for folder in ("flunq", "tui") for path in (ROOT / folder).rglob("*.py")]
    read = {name for path in sources for name in re.findall(r'"(FLUNQ_[A-Z_]+)"', path.read_text())}
    listed = TOPICS["environment"]()
    assert [name for name in sorted(read - OUR_OWN - TOLD_TO_PROGRAMS) if name not in listed] == []
