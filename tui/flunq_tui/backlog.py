"""What waits in the queues of a cluster on this machine, as its servers' monitors tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from flunq.services.supervising.network import http_get
from flunq_tui.source import Queue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PAGE = "/jsz?accounts=true&streams=true&consumers=true"
_EXECUTORS = "exec-"
_OWNERS = "owners"


class _Consumer(msgspec.Struct):
    name: str = ""
    num_pending: int = 0
    num_ack_pending: int = 0


class _Stream(msgspec.Struct):
    name: str = ""
    consumer_detail: list[_Consumer] = []


class _Account(msgspec.Struct):
    stream_detail: list[_Stream] = []


class _Page(msgspec.Struct):
    account_details: list[_Account] = []


async def queues_of(monitors: Sequence[str], tenant: str) -> list[Queue]:
    """Return the queues of a tenant; a server that does not answer tells nothing."""
    pages: list[_Page] = []
    for monitor in monitors:
        try:
            _, body = await http_get(f"{monitor}{_PAGE}", within=1.0)
            pages.append(msgspec.json.decode(body, type=_Page))
        except (OSError, TimeoutError, msgspec.MsgspecError):
            continue
    return summarized(_streams(pages, f"FLUNQ_{tenant.upper()}_"))


def summarized(streams: Iterable[tuple[str, Sequence[tuple[str, int, int]]]]) -> list[Queue]:
    """Add up the readers without a name of their own; each kind of task stands alone."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for stream, consumers in streams:
        for name, waiting, unconfirmed in consumers:
            key = stream, _reader(name)
            before = sums.get(key, (0, 0))
            sums[key] = before[0] + waiting, before[1] + unconfirmed
    return [
        Queue(stream=stream, reader=reader, waiting=counts[0], unconfirmed=counts[1])
        for (stream, reader), counts in sorted(sums.items())
    ]


def _streams(
    pages: Sequence[_Page], prefix: str
) -> Iterable[tuple[str, list[tuple[str, int, int]]]]:
    """Yield each stream once: several servers may tell of the same."""
    seen: set[tuple[str, str]] = set()
    for page in pages:
        for account in page.account_details:
            for stream in account.stream_detail:
                fresh = [c for c in stream.consumer_detail if (stream.name, c.name) not in seen]
                seen.update((stream.name, each.name) for each in fresh)
                if stream.name.startswith(prefix):
                    name = stream.name.removeprefix(prefix).lower()
                    yield name, [(c.name, c.num_pending, c.num_ack_pending) for c in fresh]


def _reader(name: str) -> str:
    if not name.startswith(_EXECUTORS):
        return _OWNERS
    return name.removeprefix(_EXECUTORS).replace("=3A", ":")
