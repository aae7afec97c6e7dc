"""The promises, checked against everything that the journal ever held."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from flunq.core import events as types
from flunq.testing.invariants import early_timers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flunq.testing.invariants import Archive, Story

PROMISES = ("lost", "doubled", "gaps", "early", "keys", "wrong")


def check(
    archive: Archive, acknowledged: Iterable[str], *, one_clock: bool = True
) -> Iterator[str]:
    """Yield what was broken, each with the promise in front.

    Without ``one_clock`` the engine's clock is not the broker's, as where it jumps.
    """
    yield from (f"gaps: {problem}" for problem in archive.problems)
    yield from _lost(archive, acknowledged)
    yield from _commits(archive)
    for story in archive.stories.values():
        yield from _doubled(story)
        early = early_timers(story, one_clock=one_clock)
        yield from (f"early: {problem}" for problem in early)
        yield from _keys(story)


def count(broken: Iterable[str]) -> dict[str, int]:
    """Return how often each promise was broken."""
    found = Counter(line.partition(":")[0] for line in broken)
    return {promise: found[promise] for promise in PROMISES}


def _lost(archive: Archive, acknowledged: Iterable[str]) -> Iterator[str]:
    for execution in acknowledged:
        story = archive.stories.get(execution)
        if story is None:
            yield f"lost: the start of {execution} was acknowledged, the journal has none"
        elif story.state is not None and not story.state.is_terminal:
            yield f"lost: {execution} has not ended, it is {story.state.status}"


def _commits(archive: Archive) -> Iterator[str]:
    """Commits count on without a gap, and an epoch has one writer."""
    for partition, heads in archive.heads.items():
        number, epoch, node = heads[0][1].number - 1, 0, ""
        for _, head in heads:
            where = f"commit {head.number} of partition {partition}"
            if head.number != number + 1:
                yield f"doubled: {where} follows {number}"
            if head.epoch < epoch or (head.epoch == epoch and head.node != node):
                yield f"doubled: {where} is of {head.node}, after {node} owned it"
            number, epoch, node = head.number, head.epoch, head.node


def _doubled(story: Story) -> Iterator[str]:
    """A step begins once and ends once."""
    begun: Counter[int] = Counter()
    ended: Counter[int] = Counter()
    for stored in story.events:
        event = stored.event
        if event.type == types.TASK_STARTED:
            begun[event.data["step"]] += 1
        elif event.type in (types.TASK_COMPLETED, types.TASK_FAULTED, types.TASK_CANCELLED):
            ended[event.data["step"]] += 1
    for what, steps in (("began", begun), ("ended", ended)):
        yield from (
            f"doubled: step {step} of {story.id} {what} {times} times"
            for step, times in steps.items()
            if times > 1
        )


def _keys(story: Story) -> Iterator[str]:
    """A step has one idempotency key, and no other step has the same."""
    steps: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    keys: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for stored in story.events:
        data = stored.event.data
        if stored.event.type == types.TASK_STARTED and "dispatch" in data:
            step, key = (data["task"], data.get("path", "")), data["dispatch"]["key"]
            steps[key].add(step)
            keys[step].add(key)
    for step, found in keys.items():
        if len(found) > 1:
            yield f"keys: {step[0]} of {story.id} had the keys {', '.join(sorted(found))}"
    for key, several in steps.items():
        if len(several) > 1:
            yield f"keys: {len(several)} steps of {story.id} share the key {key}"
