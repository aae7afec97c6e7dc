from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from flunq.api.routes.executions import ListQuery, list_page
from flunq.core.protocol import Summary

if TYPE_CHECKING:
    from flunq.api.views import ShownStatus


@pytest.mark.parametrize(
    ("status", "shown"), [((), ["x0", "x1"]), (("faulted",), ["x0", "x1"]), (("running",), [])]
)
async def test_what_is_shown_as_faulted_is_found_as_faulted(
    status: tuple[ShownStatus, ...], shown: list[str]
) -> None:
    kept = [
        Summary(
            id=f"x{number}",
            namespace="n",
            workflow="w",
            version="1.0.0",
            status=each,
            started_at=1,
            ended_at=2,
            tags={},
            parent=None,
        )
        for number, each in enumerate(("faulted", "quarantined"))
    ]

    async def listed(*, status: tuple[str, ...] | None, **_: Any) -> list[Summary]:
        return [each for each in kept if status is None or each.status in status]

    call = SimpleNamespace(query=ListQuery(status=status), client=SimpleNamespace(list=listed))
    reply = await list_page(cast("Any", call))
    items = msgspec.json.decode(cast("Any", reply).body)["items"]
    assert [each["id"] for each in items] == shown
    assert {each["status"] for each in items} <= {"faulted"}
