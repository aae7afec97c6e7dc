"""What a tenant's clients ask of no single partition: definitions, large values, events."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from flunq.core.capacity import Capacity, within_quota
from flunq.core.document.bundle import ENGINE_ROLES, Bundled, bundled_digest
from flunq.core.document.checking import check_library
from flunq.core.events import ENGINE, TASK, WORKFLOW, timestamp
from flunq.core.execution.commands import WorkflowRef
from flunq.core.protocol import (
    MAX_MESSAGE,
    Apply,
    AskCapacity,
    CatalogQuestion,
    ClusterInfo,
    Definition,
    DefinitionText,
    DeleteWorkflow,
    Emit,
    Erase,
    GetBlob,
    Info,
    ListSecrets,
    Piece,
    PutBlob,
    PutSecret,
    Resolve,
    SecretQuestion,
    Workflows,
    changed_subject,
    secrets_subject,
)
from flunq.core.reading import InvalidDocument, read_document
from flunq.errors import NotFoundError, RejectedError, UnavailableError
from flunq.log.ports import MessageTooLargeError, OutcomeUnknownError, StoreFullError
from flunq.services.answering import answered, refused
from flunq.services.contents import read_content
from flunq.services.flow.pauses import Pauses
from flunq.services.tenants.quota import Quota

if TYPE_CHECKING:
    from flunq.core.reading import Document
    from flunq.log.ports import Database, EventStream
    from flunq.services.clock import Clock
    from flunq.services.schedules.keeper import ScheduleKeeper
    from flunq.services.vault import Vault
    from flunq.services.worker.definitions import Definitions
    from flunq.services.worker.scrubbing import Scrubber

log = logging.getLogger(__name__)

PIECE = 512 * 1024
MAX_VALUE = 64 * 1024 * 1024
MAX_UPLOADS = 64
RESERVED_TYPES = (ENGINE, WORKFLOW, TASK)

_encode = msgspec.json.Encoder().encode
_question = msgspec.json.Decoder(CatalogQuestion).decode


class Catalog:
    """Answers catalog questions on the node that holds the catalog role."""

    def __init__(
        self,
        tenant: str,
        *,
        stream: EventStream,
        database: Database,
        definitions: Definitions,
        vault: Vault,
        clock: Clock,
        info: ClusterInfo,
        keeper: ScheduleKeeper,
        scrubber: Scrubber,
        quota: Quota | None = None,
        is_first: bool = False,
    ) -> None:
        """The first tenant is that of whoever runs the cluster: it sees what all of them share."""
        self.keeper = keeper
        self.scrubber = scrubber
        self._quota = quota or Quota()
        self._is_first = is_first
        self._info = info
        self._tenant = tenant
        self._stream = stream
        self._database = database
        self._definitions = definitions
        self._pauses = Pauses(database.definitions, tenant)
        self._vault = vault
        self._clock = clock
        self._uploads: dict[str, list[bytes]] = {}
        self._open_blob: tuple[str, bytes] | None = None

    async def answer(self, payload: bytes) -> bytes | None:
        """Answer one encoded question; never raises for what somebody asked.

        Where nobody can say whether a write has happened there is no answer: the asker repeats it.
        """
        try:
            return await answered(payload, _question, self._value)
        except StoreFullError as error:
            return refused(UnavailableError("the cluster can store nothing", reason=str(error)))
        except MessageTooLargeError as error:
            return refused(RejectedError(str(error)))
        except OutcomeUnknownError as error:
            log.warning("a question to the catalog stays without an answer: %s", error)
            return None

    async def _value(self, question: CatalogQuestion) -> Any:
        if isinstance(question, Info | Workflows | AskCapacity):
            return await self._state(question)
        if isinstance(question, Apply):
            return await self._apply(question)
        if isinstance(question, Resolve):
            return await self._text(question.name)
        if isinstance(question, DeleteWorkflow):
            gone = await self._definitions.delete(question.name)
            await self._tell_others()
            await self._unschedule(gone)
            return gone
        if isinstance(question, PutBlob):
            return await self._put_blob(question)
        if isinstance(question, GetBlob):
            return await self._get_blob(question)
        if isinstance(question, SecretQuestion):
            return await self._keep_secret(question)
        if isinstance(question, Erase):
            return self.scrubber.look(question)
        return await self._emit(question)

    async def _state(self, question: Info | Workflows | AskCapacity) -> Any:
        """Say how things are."""
        if isinstance(question, Info):
            return self._info
        if isinstance(question, Workflows):
            return await self._all(question.prefix)
        return await self._capacity()

    async def _capacity(self) -> Capacity:
        streams = await self._stream.capacity()
        buckets = await self._database.capacity(shared=self._is_first)
        quota = self._quota.limits.bytes
        found = [within_quota(each, quota) for each in (*streams.streams, *buckets.streams)]
        return Capacity(streams=found, consumers=streams.consumers)

    async def _all(self, prefix: str) -> list[Definition]:
        await self._pauses.refresh()
        return [_with_pause(each, self._pauses) for each in await self._definitions.all(prefix)]

    async def _apply(self, question: Apply) -> dict[str, Any]:
        document = await asyncio.to_thread(read_document, question.text, name="document")
        if question.dry_run:
            digest = bundled_digest(document.digest, question.resources)
            return {"digest": digest, "created": False}
        await self._check_resources(document, question.resources)
        if question.schedule:
            await self.keeper.announce(document.value)
        try:
            ref, created = await self._definitions.apply(
                document.value,
                question.text,
                bundled_digest(document.digest, question.resources),
                self._clock.now(),
                question.resources,
            )
            await self._tell_others()
        except RejectedError:
            await self.keeper.sync(document.namespace, document.name)
            raise
        wanted = question.schedule and "schedule" in document.value
        await self.keeper.sync(ref.namespace, ref.name, wanted=wanted)
        return {**msgspec.to_builtins(ref), "created": created}

    async def _check_resources(self, document: Document, resources: dict[str, Bundled]) -> None:
        """Refuse a document that lacks what it refers to: no execution could do without."""
        for entry in resources.values():
            if entry.role not in ENGINE_ROLES:
                await read_content(self._database.blobs, entry.sha256)
        library = await self._definitions.library(resources)
        problems = await asyncio.to_thread(check_library, document.source, library)
        if problems:
            raise InvalidDocument(problems, name="document")

    async def _unschedule(self, gone: list[str]) -> None:
        """Follow what is registered now: an older version's schedule, or none."""
        for full_name in sorted({name.partition(":")[0] for name in gone}):
            namespace, _, name = full_name.partition("/")
            await self.keeper.sync(namespace, name)

    async def _text(self, name: str) -> DefinitionText:
        text = await self._definitions.text(name)
        if len(text.text) < MAX_MESSAGE // 3:
            return text
        return msgspec.structs.replace(text, document={})

    async def _tell_others(self) -> None:
        await self._stream.requests.notify(changed_subject(self._tenant), b"")

    async def _keep_secret(self, question: SecretQuestion) -> Any:
        if isinstance(question, ListSecrets):
            return await self._vault.names()
        if isinstance(question, PutSecret):
            await self._vault.put(question.name, question.value)
        else:
            await self._vault.delete(question.name)
        await self._stream.requests.notify(secrets_subject(self._tenant), b"")
        return question.name

    async def _put_blob(self, question: PutBlob) -> dict[str, Any]:
        """Take a piece; the answer says which one is ``next``, as the sender or we may be new."""
        pieces = self._uploads.setdefault(question.key, [])
        if len(pieces) == question.number:
            pieces.append(question.piece)
            if sum(map(len, pieces)) > MAX_VALUE:
                del self._uploads[question.key]
                raise RejectedError(f"a value may have {MAX_VALUE:,} bytes; this one has more")
        if question.last and len(pieces) == question.number + 1:
            body = b"".join(pieces)
            refused = self._quota.fits(len(body))
            if refused is not None:
                del self._uploads[question.key]
                raise refused
            await self._database.blobs.put(question.key, body)
            self._uploads.pop(question.key, None)
            return {"next": question.number + 1}
        if len(self._uploads) > MAX_UPLOADS:
            # Somebody began and never came back.
            del self._uploads[next(iter(self._uploads))]
        return {"next": min(len(pieces), question.number + 1)}

    async def _get_blob(self, question: GetBlob) -> Piece:
        if self._open_blob is None or self._open_blob[0] != question.key:
            body = await self._database.blobs.get(question.key)
            if body is None:
                raise NotFoundError(f"no value {question.key}")
            self._open_blob = (question.key, body)
        body = self._open_blob[1]
        piece = body[question.offset : question.offset + PIECE]
        if question.offset + PIECE >= len(body):
            self._open_blob = None
        return Piece(data=piece, size=len(body))

    async def _emit(self, question: Emit) -> list[int]:
        prepared = [self._prepared(event) for event in question.events]
        return [
            await self._stream.bus.publish(
                "ext",
                _encode(event),
                type=event["type"],
                message_id=f"{event['source']}\n{event['id']}",
            )
            for event in prepared
        ]

    def _prepared(self, event: dict[str, Any]) -> dict[str, Any]:
        missing = [name for name in ("id", "source", "type") if not event.get(name)]
        if missing:
            raise RejectedError(f"a CloudEvent needs {', '.join(missing)}")
        wrong = [name for name in ("id", "source", "type") if not isinstance(event[name], str)]
        if wrong:
            raise RejectedError(f"of a CloudEvent {', '.join(wrong)} must be text")
        if event["type"].startswith(RESERVED_TYPES):
            raise RejectedError(
                f"events of type {event['type']} are made by the engine alone",
                hint="choose a type of your own, such as com.example.order.paid",
            )
        return {"specversion": "1.0", "time": timestamp(self._clock.now()), **event}


def _with_pause(found: Definition, pauses: Pauses) -> Definition:
    ref = WorkflowRef(
        namespace=found.namespace, name=found.name, version=found.version, digest=found.digest
    )
    pause = pauses.of(ref)
    if pause is None:
        return found
    what: Literal["starts", "all"] = "starts" if pause.starts_only else "all"
    return msgspec.structs.replace(found, paused=what, pause_reason=pause.reason)
