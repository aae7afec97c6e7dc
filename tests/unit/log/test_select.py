from __future__ import annotations

import subprocess
import sys

import pytest

from flunq.errors import UsageError
from flunq.log.memory import MemoryDatabase, MemoryEventStream
from flunq.log.nats import NatsDatabase, NatsEventStream
from flunq.log.select import (
    DATABASES,
    EVENT_STREAMS,
    StreamSettings,
    calm_seconds,
    database,
    event_stream,
    installed,
)


def test_nats_is_the_default() -> None:
    assert isinstance(event_stream(StreamSettings(), environ={}), NatsEventStream)
    assert isinstance(database(StreamSettings(), environ={}), NatsDatabase)


def test_variables_choose_the_backends() -> None:
    environ = {"EVENT_STREAM_TYPE": "memory", "DB_TYPE": "memory"}
    settings = StreamSettings(url="memory://test-select")
    stream, base = event_stream(settings, environ=environ), database(settings, environ=environ)
    assert isinstance(stream, MemoryEventStream)
    assert isinstance(base, MemoryDatabase)
    assert stream.broker is base.broker


def test_the_built_in_backends_are_entry_points() -> None:
    assert {"nats", "memory"} <= set(installed(EVENT_STREAMS))
    assert {"nats", "memory"} <= set(installed(DATABASES))


def test_an_unknown_backend_names_those_installed() -> None:
    with pytest.raises(UsageError, match=r"'redis'.*installed: memory, nats") as unknown:
        event_stream(StreamSettings(), environ={"EVENT_STREAM_TYPE": "redis"})
    assert "EVENT_STREAM_TYPE" in str(unknown.value.hint)


def test_settings_do_not_show_the_password() -> None:
    assert "s3cret" not in repr(StreamSettings(user="u", password="s3cret"))


def test_the_server_runner_does_without_the_client_library() -> None:
    code = "import flunq.log.nats.server, sys; sys.exit('nats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("url", "is_calm"),
    [
        ("nats://127.0.0.1:4222", True),
        ("nats://localhost", True),
        ("tls://[::1]:4222", True),
        ("nats://nats.example:4222", False),
        ("nats://127.0.0.1:4222,nats://127.0.0.1:4223", False),
    ],
)
def test_only_the_silence_of_a_lone_broker_of_this_machine_means_nothing(
    url: str, is_calm: bool
) -> None:
    assert bool(calm_seconds(url)) is is_calm
