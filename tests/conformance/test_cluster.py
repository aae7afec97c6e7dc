"""The same documents on a cluster of real processes: durable, and with the same outcome.

Cases that need virtual time, a scripted neighbour or a look inside stay in the laboratory.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jq  # type: ignore[import-not-found]
import msgspec
import pytest

from flunq.client.resources import Fetching
from tests.conformance.cases import Case, all_cases
from tests.conformance.laboratory import standard, whole
from tests.conformance.world import FILES, LOCAL, World
from tests.support.processes import running_cluster

if TYPE_CHECKING:
    from flunq.client.client import Client

FUNCTIONS = (str(Path(__file__).with_name("functions.py")),)
ELSEWHERE = (
    "PT", "P1", "'wait'", "'listen'", "container", "never", "flaky", "/hang", "broker.yaml",
    "'await'", "MCP_SERVER", "$workflow.id", "$workflow.tags",
)  # fmt: skip
INSIDE = (".requests", ".context", ".elapsed", ".history", ".types", ".started", ".emitted")
AT_ONCE = 16

pytestmark = pytest.mark.timeout(120)


def on_a_cluster() -> list[Case]:
    """Return the cases whose outcome can be seen from outside."""
    return [case for case in all_cases() if _is_visible(case)]


def _is_visible(case: Case) -> bool:
    if case.valid or case.invalid or case.steps or case.workflows or case.secrets or case.needs:
        return False
    is_checked = any(inside in check for check in case.checks for inside in INSIDE)
    text = repr(case.members)
    return case.schedule is None and not is_checked and not any(word in text for word in ELSEWHERE)


async def test_a_cluster_comes_to_the_same_ends(tmp_path: Path) -> None:
    chosen = on_a_cluster()
    assert len(chosen) > 200
    folder = tmp_path / "world"
    folder.mkdir()
    async with (
        World(repr([case.members for case in chosen]), folder) as world,
        running_cluster(tmp_path / "data", functions=FUNCTIONS) as cluster,
        cluster.client() as client,
    ):
        gate = asyncio.Semaphore(AT_ONCE)
        outcomes = await asyncio.gather(
            *(_outcome(client, world, gate, number, case) for number, case in enumerate(chosen))
        )
    assert [outcome for outcome in outcomes if outcome] == []


async def _outcome(
    client: Client, world: World, gate: asyncio.Semaphore, number: int, case: Case
) -> str:
    """Return what is wrong with the outcome of a case on the cluster."""
    members = {
        **case.members,
        "document": {**case.members.get("document", {}), "name": f"c{number}"},
    }
    document = msgspec.json.encode(world.real(whole(members))).decode()
    fetching = Fetching(directory=FILES, egress=LOCAL, catalog=world.catalog)
    async with gate:
        await client.apply(document, fetching=fetching)
        run = await client.start(f"test/c{number}", world.real(case.input))
        ended = await run.wait(60)
    error = None if ended.failure is None else msgspec.to_builtins(ended.failure)
    found = world.symbolic({"status": ended.status, "output": ended.output, "error": error})
    wrong = _wrong(case, found)
    return f"{case.file}: {case.case}: {wrong}: {found}" if wrong else ""


def _wrong(case: Case, found: dict[str, Any]) -> str:
    if case.output is not msgspec.UNSET and found["output"] != case.output:
        return f"the output should be {case.output}"
    if case.error is not None:
        told = found["error"] or {}
        wanted = {**case.error}
        if "type" in wanted:
            wanted["type"] = standard(wanted["type"])
        if {name: told.get(name) for name in wanted} != wanted:
            return f"the error should be {wanted}"
    for condition in case.checks:
        if jq.compile(condition).input_value(found).first() is not True:
            return condition
    return ""
