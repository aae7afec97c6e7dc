"""No write that clients can ask for escapes the audit, also none that is added later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pytest

from flunq.core import access, alerts, flow, letters, protocol, tenancy
from flunq.log.memory import MemoryBroker, MemoryEventStream
from flunq.log.ports import Asker, Record, asker
from flunq.log.select import StreamSettings
from flunq.services.identity.audit import Audit
from flunq.services.identity.watching import READS, Watch, WatchedStream
from flunq.store import query_job
from tests.unit.services.identity.conftest import HandClock

if TYPE_CHECKING:
    from flunq.core.access import AuditEntry

PROOF = "only the cluster knows"
OK = b'{"value":null}'


class Notes(Audit):
    """An audit that keeps its entries in a list."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    def note(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


@pytest.fixture
def notes() -> Notes:
    return Notes()


async def heard(
    notes: Notes, request: Any, answer: bytes | None = OK, who: Asker | None = None
) -> list[tuple[str, str, str]]:
    """Return what is noted of a request."""
    watch = Watch(notes, tenant="shop", proof=PROOF, clock=HandClock())

    async def handler(_: bytes) -> bytes | None:
        return answer

    before = asker.set(who or Asker("client", "ann@desk"))
    try:
        payload = request if isinstance(request, bytes) else msgspec.json.encode(request)
        assert await watch.over(handler)(payload) == answer
    finally:
        asker.reset(before)
    return [(entry.what, entry.target, entry.result) for entry in notes.entries]


def tags_of(module: Any) -> set[str]:
    """Return the tags of all questions that a module of the protocol defines."""
    found = [value for value in vars(module).values() if isinstance(value, type)]
    structs = [each for each in found if issubclass(each, msgspec.Struct)]
    tags = {each.__struct_config__.tag for each in structs if each.__module__ == module.__name__}
    return {tag for tag in tags if isinstance(tag, str)}


WRITES = {
    "apply", "delete-workflow", "emit", "erase", "put-secret", "delete-secret", "put-blob", "mark",
    "pause", "resume", "skip", "unskip", "update", "trigger", "backfill",
    "flush-lake", "compact-lake", "rebuild-lake", "scrub-lake",
    "create-token", "revoke-token", "rotate-keys", "create-link",
    "retry-letter", "drop-letter",
    "trip-breaker", "reset-breaker", "set-limit", "delete-limit",
    "pause-workflow", "resume-workflow",
    "retry", "rewind", "fork",
    "apply-alerts", "delete-alert",
    "create-tenant", "update-tenant", "delete-tenant", "tenant-access",
    "store-input",
}  # fmt: skip
REPLIES = {"header", "rows", "done", "refused"}


@pytest.mark.parametrize("module", [protocol, access, alerts, letters, flow, tenancy, query_job])
def test_every_question_is_known_to_read_or_to_write(module: Any) -> None:
    assert tags_of(module) - REPLIES <= WRITES | READS
    assert not WRITES & READS


@pytest.mark.parametrize("tag", sorted(WRITES))
async def test_a_write_is_noted(notes: Notes, tag: str) -> None:
    noted = await heard(notes, {"type": tag, "name": "x"})
    assert noted == [(tag, "x", "ok")]


@pytest.mark.parametrize("tag", sorted(READS))
async def test_a_read_is_not_noted(notes: Notes, tag: str) -> None:
    assert await heard(notes, {"type": tag, "id": "x"}) == []


async def test_what_nobody_knows_is_noted_too(notes: Notes) -> None:
    assert await heard(notes, {"type": "explode", "id": "x"}) == [("explode", "x", "ok")]
    notes.entries.clear()
    assert await heard(notes, b"\xff\xfe") == [("unreadable", "", "ok")]
    notes.entries.clear()
    assert await heard(notes, b"[" * 100_000) == [("unreadable", "", "ok")]


def test_every_command_of_a_client_has_a_name_for_the_audit() -> None:
    from flunq.services.worker.partition import CLIENT_COMMANDS

    kinds = CLIENT_COMMANDS if isinstance(CLIENT_COMMANDS, tuple) else get_args(CLIENT_COMMANDS)
    assert all(kind.__struct_config__.tag not in READS for kind in kinds)


async def test_commands_of_one_request_are_noted_one_by_one_with_their_results(
    notes: Notes,
) -> None:
    request = {"commands": [{"type": "start", "id": "a"}, {"type": "cancel", "id": "b"}]}
    replies = [{"code": 201}, {"code": 404, "problem": {"type": "urn:flunq:error:not-found"}}]
    noted = await heard(notes, request, msgspec.json.encode(replies))
    assert noted == [("start", "a", "ok"), ("cancel", "b", "not-found")]
    assert [(entry.who, entry.source) for entry in notes.entries] == [("client", "ann@desk")] * 2


async def test_what_is_rewritten_is_the_target_of_a_mark(notes: Notes) -> None:
    who = Asker("client", "ann@desk", subject="flunq.ask.shop.3")
    await heard(notes, {"type": "mark", "without": ["e1", "e2"]}, who=who)
    noted = await heard(notes, {"type": "mark", "padding": 9}, who=who)
    assert noted == [("mark", "e1, e2", "ok"), ("mark", "partition 3", "ok")]


async def test_a_request_without_an_answer_is_noted_as_such(notes: Notes) -> None:
    noted = await heard(notes, {"commands": [{"type": "start", "id": "a"}]}, None)
    assert noted == [("start", "a", "no answer")]


async def test_what_the_api_asks_is_noted_there_alone(notes: Notes) -> None:
    request = {"type": "put-secret", "name": "k"}
    assert await heard(notes, request, who=Asker("engine", "", PROOF)) == []
    assert len(await heard(notes, request, who=Asker("engine", "", "guessed"))) == 1


async def test_a_rehearsal_is_no_write(notes: Notes) -> None:
    assert await heard(notes, {"type": "apply", "text": "x", "dry_run": True}) == []
    made = b'{"value":{"namespace":"a","name":"b","version":"1.0.0"}}'
    assert await heard(notes, {"type": "apply", "text": "x"}, made) == [
        ("apply", "a/b:1.0.0", "ok")
    ]


async def test_events_are_noted_by_type_and_never_with_their_data(notes: Notes) -> None:
    events = [{"type": "b", "data": "secret"}, {"type": "a"}, {"type": "a"}]
    assert await heard(notes, {"type": "emit", "events": events}) == [("emit", "3 x a, b", "ok")]
    notes.entries.clear()
    assert await heard(notes, {"type": "emit", "events": ["a"]}) == [("emit", "1 x ", "ok")]


async def test_inputs_that_waited_for_an_owner_are_noted(notes: Notes) -> None:
    watch = Watch(notes, tenant="shop", proof=PROOF, clock=HandClock())
    headers = {"Flunq-By": "client ann@desk"}
    watch.input(Record(7, b'[{"type":"start","id":"a"}]', headers=headers, time=5.0))
    found = notes.entries[0]
    assert (found.who, found.source, found.what, found.target) == (
        "client",
        "ann@desk",
        "start",
        "a",
    )
    assert found.time == 5.0
    watch.input(Record(8, b"[" * 100_000, headers=headers, time=6.0))
    assert notes.entries[1].what == "unreadable"


async def test_a_watched_stream_hears_what_clients_ask_and_not_what_nodes_do(notes: Notes) -> None:
    stream = MemoryEventStream(StreamSettings(tenant="shop", user="ann"), MemoryBroker())
    async with stream:
        await stream.ensure(1)
        watched = WatchedStream(stream, Watch(notes, tenant="shop", proof=PROOF, clock=HandClock()))

        async def handler(_: bytes) -> bytes | None:
            return OK

        for subject in ("flunq.ask.shop.catalog", "flunq.start.shop.0", "flunq.report.shop.0"):
            async with watched.requests.serve(subject, handler):
                await stream.requests.request(subject, b'{"type":"emit"}', timeout=5)
    assert [entry.who for entry in notes.entries] == ["ann", "ann"]
