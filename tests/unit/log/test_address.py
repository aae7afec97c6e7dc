"""Addresses of brokers."""

from __future__ import annotations

import pytest

from flunq.errors import UsageError
from flunq.log.address import split_credentials


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("nats://me:pw@host:4222", ("nats://host:4222", "me", "pw")),
        ("host:4222", ("nats://host:4222", None, None)),
        ("nats://a:1,nats://u:p@b:2", ("nats://a:1,nats://b:2", "u", "p")),
        ("nats://a:b%2F@h:1,h:2", ("nats://h:1,nats://h:2", "a", "b/")),
    ],
)
def test_credentials_are_taken_out_of_an_address(
    url: str, parts: tuple[str, str | None, str | None]
) -> None:
    assert split_credentials(url) == parts


@pytest.mark.parametrize("url", ["ftp://h:1", "nats://", "nats://u:secret@h:port", "h:0", "h:1,"])
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UsageError, match="no address of NATS") as caught:
        split_credentials(url)
    assert "secret" not in str(caught.value)
