"""Who hears how an execution ended, and when a watcher that is gone is forgotten."""

from __future__ import annotations

from flunq.services.worker.watchers import WATCH_MICROSECONDS, Watchers


class Clock:
    def __init__(self) -> None:
        self.time = 0

    def now(self) -> int:
        return self.time


def test_each_mailbox_hears_once_however_often_it_asked() -> None:
    watchers = Watchers(Clock())
    for mailbox in ("a", "b", "a"):
        watchers.add("e", mailbox)
    assert list(watchers.take("e")) == ["a", "b"]
    assert list(watchers.take("e")) == []


def test_a_watcher_is_forgotten_when_it_does_not_ask_again() -> None:
    clock = Clock()
    watchers = Watchers(clock)
    watchers.add("e", "a")
    for _ in range(2):
        clock.time += WATCH_MICROSECONDS
        watchers.forget()
    assert len(watchers) == 0


def test_a_watcher_that_asks_again_stays_and_still_hears_once() -> None:
    clock = Clock()
    watchers = Watchers(clock)
    for _ in range(5):
        watchers.add("e", "a")
        clock.time += WATCH_MICROSECONDS
        watchers.forget()
    watchers.add("e", "a")
    assert list(watchers.take("e")) == ["a"]


def test_a_watcher_is_kept_for_the_whole_time() -> None:
    clock = Clock()
    watchers = Watchers(clock)
    clock.time = WATCH_MICROSECONDS - 1
    watchers.add("e", "a")
    clock.time += 1
    watchers.forget()
    clock.time += WATCH_MICROSECONDS - 1
    watchers.forget()
    assert list(watchers.take("e")) == ["a"]
