"""Large values in chunks, laid out as other tools expect of a JetStream object store."""

from __future__ import annotations

import asyncio
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from flunq.log.nats.scouring import overwrite
from flunq.log.nats.streams import BLOBS, blobs_stream
from flunq.log.ports import OutcomeUnknownError, StoreFullError

if TYPE_CHECKING:
    from flunq.log.nats.jetstream import JetStream

CHUNK = 512 * 1024
_PAGE = 32
_ROLLUP = b"NATS/1.0\r\nNats-Rollup: sub\r\n\r\n"


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    nuid: str
    size: int
    chunks: int
    digest: str
    bucket: str
    deleted: bool = False


class NatsBlobs:
    """Values by key; a value appears when its manifest does, whole or not at all."""

    def __init__(self, js: JetStream, bucket: str = BLOBS) -> None:
        self._js = js
        self._bucket = bucket
        self._stream = blobs_stream(bucket)

    async def put(self, key: str, data: bytes) -> None:
        """Store a value; storing the same again writes nothing."""
        digest = f"SHA-256={urlsafe_b64encode(sha256(data).digest()).decode()}"
        older = await self._manifest(key)
        if older is not None and older.digest == digest:
            return
        nuid = secrets.token_hex(11)
        chunks = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
        try:
            subject = self._chunks_of(nuid)
            await asyncio.gather(*(self._js.publish(subject, chunk) for chunk in chunks))
            manifest = _Manifest(
                name=key,
                nuid=nuid,
                size=len(data),
                chunks=len(chunks),
                digest=digest,
                bucket=self._bucket,
            )
            await self._js.publish(self._manifest_of(key), msgspec.json.encode(manifest), _ROLLUP)
        except (OutcomeUnknownError, StoreFullError):
            await self._purge(self._chunks_of(nuid))
            raise
        if older is not None:
            await self._purge(self._chunks_of(older.nuid))

    async def get(self, key: str) -> bytes | None:
        """Return a value."""
        manifest = await self._manifest(key)
        if manifest is None:
            return None
        chunks = self._chunks_of(manifest.nuid)
        parts: list[bytes] = []
        after = 0
        while len(parts) < manifest.chunks:
            request = {"seq": after + 1, "next_by_subj": chunks, "batch": _PAGE}
            page = await self._js.page(self._stream, request)
            if not page:
                # Replaced or deleted meanwhile, or this replica is behind.
                newer = await self._manifest(key)
                if newer is None or newer.nuid != manifest.nuid:
                    return await self.get(key)
                await asyncio.sleep(0.05)
            else:
                parts += [record.data for record in page]
                after = page[-1].seq
        return b"".join(parts)

    async def delete(self, key: str) -> None:
        """Remove a value; unknown ones are ignored."""
        manifest = await self._manifest(key)
        await self._purge(self._manifest_of(key))
        if manifest is not None:
            await self._purge(self._chunks_of(manifest.nuid))

    async def erase(self, key: str) -> None:
        """Remove a value; its bytes in the broker's files are overwritten."""
        manifest = await self._manifest(key)
        if manifest is not None:
            await overwrite(self._js, self._stream, self._chunks_of(manifest.nuid))
        await self.delete(key)

    async def size(self) -> int:
        """Return how many bytes are stored."""
        info = await self._js.insist(f"STREAM.INFO.{self._stream}")
        return int(info["state"]["bytes"])

    async def _manifest(self, key: str) -> _Manifest | None:
        record = await self._js.last(self._stream, self._manifest_of(key))
        if record is None:
            return None
        manifest = msgspec.json.decode(record.data, type=_Manifest)
        return None if manifest.deleted else manifest

    async def _purge(self, subject: str) -> None:
        await self._js.insist(f"STREAM.PURGE.{self._stream}", {"filter": subject})

    def _chunks_of(self, nuid: str) -> str:
        return f"$O.{self._bucket}.C.{nuid}"

    def _manifest_of(self, key: str) -> str:
        return f"$O.{self._bucket}.M.{urlsafe_b64encode(key.encode()).decode()}"
