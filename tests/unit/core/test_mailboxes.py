"""Where owners send results is said by clients, who may not publish what owners may."""

from __future__ import annotations

import msgspec
import pytest

from flunq.core.protocol import Commands, Watch


@pytest.mark.parametrize("mailbox", ["_INBOX_client.9b13.1", "_INBOX_tenant.a=20b.x", "_INBOX.x.1"])
def test_results_go_to_inboxes(mailbox: str) -> None:
    asked = msgspec.json.encode(Commands(commands=[], mailbox=mailbox))
    assert msgspec.json.decode(asked, type=Commands).mailbox == mailbox


@pytest.mark.parametrize(
    "mailbox",
    [
        "flunq.journal.other.0",
        "$KV.flunq_tenants.other",
        "_INBOX",
        "_INBOX_x.>",
        "_INBOX_x.*",
        "_INBOX_x.y\n",
        "_INBOX_x 0\r\n\r\nPUB $JS.API.STREAM.DELETE.FLUNQ_OTHER_JOURNAL",
        f"_INBOX_{'x' * 4_000}",
    ],
)
@pytest.mark.parametrize("shape", [Commands, Watch])
def test_results_go_nowhere_else(shape: type[Commands | Watch], mailbox: str) -> None:
    asked = msgspec.json.encode({"type": "watch", "ids": [], "commands": [], "mailbox": mailbox})
    with pytest.raises(msgspec.ValidationError, match="mailbox"):
        msgspec.json.decode(asked, type=shape)
