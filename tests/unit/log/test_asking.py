"""Who asks, told by the inbox that waits for the answer."""

from __future__ import annotations

import pytest

from flunq.core.tenancy import nats_user
from flunq.log.nats.asking import asker_of


@pytest.mark.parametrize("user", ["client", nats_user("acme"), nats_user("a.c me")])
def test_the_user_is_named_by_its_inbox(user: str) -> None:
    assert asker_of("flunq.ask.acme.0", f"_INBOX_{user}.9b13.1", b"").user == user


@pytest.mark.parametrize("reply", ["", "_INBOX.9b13.1", "flunq.journal.acme.0"])
def test_other_answers_name_nobody(reply: str) -> None:
    assert asker_of("flunq.ask.acme.0", reply, b"").user == ""
