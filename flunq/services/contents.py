"""What was registered with definitions: contents in the blob store, named by their SHA-256."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from flunq.core.document.bundle import blob_key, content_hash
from flunq.errors import NotFoundError
from flunq.sdk.executor import TaskError

if TYPE_CHECKING:
    from flunq.log.ports import Blobs

KEPT_BYTES = 64 * 1024 * 1024


async def read_content(blobs: Blobs | None, digest: str) -> bytes:
    """Return a content; raises NotFoundError."""
    body = None if blobs is None else await blobs.get(blob_key(digest))
    if body is None or content_hash(body) != digest:
        raise NotFoundError(f"the content {digest[:12]} of a definition is not there")
    return body


class Contents:
    """Contents for executors; those that were used lately stay in memory."""

    def __init__(self, blobs: Blobs, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._blobs = blobs
        self._limit = kept_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._lock = asyncio.Lock()

    async def read(self, digest: str) -> bytes:
        """Return a content; raises a ``configuration`` TaskError if it is not there."""
        if digest not in self._kept:
            async with self._lock:
                if digest not in self._kept:
                    self._keep(digest, await self._read(digest))
        self._kept.move_to_end(digest)
        return self._kept[digest]

    async def _read(self, digest: str) -> bytes:
        try:
            return await read_content(self._blobs, digest)
        except NotFoundError as error:
            raise TaskError("configuration", 400, detail=error.message) from error

    def _keep(self, digest: str, body: bytes) -> None:
        self._kept[digest] = body
        self._size += len(body)
        while self._size > self._limit and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._size -= len(dropped)
