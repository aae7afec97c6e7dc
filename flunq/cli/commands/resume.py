"""``flunq resume``: let suspended executions go on."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING

from flunq.cli.bulk import Action, Selection, act_on, of_many
from flunq.cli.controlling import ended_already
from flunq.cli.engine import SomeExecutionsArgument  # noqa: TC001 - Typer reads annotations
from flunq.core.statuses import ENDED

if TYPE_CHECKING:
    from flunq.client import Client


@of_many
async def command(
    executions: SomeExecutionsArgument = None,
    *,
    selection: Selection,
) -> int:
    """Let suspended executions go on.

    $ flunq resume order-123

    $ flunq resume --from paused.jsonl --rate 20
    """
    action = Action(
        verb="resume",
        done="resumed",
        act=_resume,
        eligible="status = 'suspended'",
        wanted=ENDED,
    )
    return await act_on(executions, selection, action, allowed=action.wanted)


async def _resume(client: Client, execution: str) -> str:
    """Resume one; what remained may be done at once, which differs from having ended before."""
    request = token_hex(8)
    status = await client.resume(execution, request=request)
    if status in ENDED and not await _went_on(client, execution, request):
        raise ended_already(execution, status)
    return status


async def _went_on(client: Client, execution: str, request: str) -> bool:
    async for event in client.history(execution):
        data = event.value()
        if isinstance(data, dict) and data.get("request") == request:
            return True
    return False
