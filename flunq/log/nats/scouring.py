"""What the broker's files still hold of messages that are gone, and how to get rid of it.

JetStream forgets a message by its index; the bytes stay in a block file until all of the block's
messages are gone. So a block is closed by filling it up, what lives in it is written anew, and
the server deletes the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.log.nats.jetstream import ApiError

if TYPE_CHECKING:
    from flunq.log.nats.jetstream import JetStream

NOT_FOUND = 404
LARGEST_BLOCK = 8 << 20
"""Bytes after which the server begins another file for a stream, at the latest."""
PIECE = 512 * 1024


async def fill_block(js: JetStream, subject: str) -> int:
    """Write until the file that was written to last is closed; returns the first sequence."""
    first = 0
    for number in range(LARGEST_BLOCK // PIECE + 2):
        sequence = await js.publish(f"{subject}.{number}", b"\0" * PIECE)
        first = first or sequence
    return first


async def empty_files(js: JetStream, stream: str) -> bool:
    """Delete the files of a stream without messages; tell whether it had none."""
    state: dict[str, Any] = (await js.insist(f"STREAM.INFO.{stream}"))["state"]
    if state["messages"]:
        return False
    await js.insist(f"STREAM.PURGE.{stream}", {"seq": int(state["last_seq"]) + 1})
    return True


async def overwrite(js: JetStream, stream: str, subject: str) -> None:
    """Delete the messages of a subject, their bytes in the file included."""
    after = 0
    while True:
        request = {"seq": after + 1, "next_by_subj": subject, "batch": 64}
        page = await js.page(stream, request)
        if not page:
            return
        for record in page:
            after = record.seq
            try:
                await js.call(f"STREAM.MSG.DELETE.{stream}", {"seq": record.seq})
            except ApiError as error:
                if error.code != NOT_FOUND:
                    raise
