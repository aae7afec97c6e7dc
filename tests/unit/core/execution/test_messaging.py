"""``call: grpc`` and ``call: asyncapi``: what executors are asked, and work on each message."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.execution.commands import Failure
from flunq.core.execution.effects import Dispatch
from flunq.core.execution.recover import open_effects
from tests.support.driver import BASE, Driver, run

GRPC = """
use: {authentications: {machine: {bearer: {token: '${ .token }'}}}}
do:
- c:
    call: grpc
    METADATA
    with:
      proto: {endpoint: {uri: 'https://x/{file}', authentication: {use: machine}}}
      service: {name: S, host: h, port: 1, authentication: {use: machine}}
      method: M
      arguments: {n: '${ .n }'}
"""
SUBSCRIBE = """
use: {authentications: {machine: {bearer: {token: t}}}}
do:
- for:
    for: {each: room, in: .rooms}
    do:
    - sub:
        call: asyncapi
        with:
          document: {endpoint: 'https://x'}
          operation: o
          authentication: {use: machine}
          subscription:
            filter: ${ .payload.room == $room and .n > $context.n }
            consume: {while: '${ length < $input.most }', for: '${ .time }'}
"""
EACH = """
do:
- sub:
    call: asyncapi
    TIMEOUT
    with:
      document: {endpoint: 'https://x'}
      operation: o
      subscription:
        filter: ${ . > ($context.least // 0) }
        consume: CONSUME
        foreach:
          item: m
          at: i
          do: [{work: {call: f, with: {m: '${ $m }', i: '${ $i }'}}}]
          FOREACH
"""
MESSAGES = "{as: '${ $context + {seen: ((($context.seen) // []) + [.])} }'}"


def each(consume: str, foreach: str = "", timeout: str = "") -> str:
    text = EACH.replace("CONSUME", consume).replace("FOREACH", foreach)
    return text.replace("TIMEOUT", timeout)


class Feed:
    """An executor that has messages, and doubles what it is asked to work on."""

    def __init__(self, *messages: Any) -> None:
        self.messages = list(messages)
        self.batches: list[Any] = []

    def __call__(self, task: Any) -> Any:
        if task.kind != "asyncapi":
            return task.arguments["m"] * 2
        self.batches.append(task.arguments["batch"])
        limit = task.arguments["batch"]["limit"]
        taken, self.messages = self.messages[:limit], self.messages[limit:]
        return taken


def asked(text: str, input: Any = None) -> Any:
    return Driver(text, input).begin().dispatched[0].arguments


class TestGrpc:
    def test_policies_and_a_uri_template_are_put_in_place(self) -> None:
        given = {"token": "t", "file": "a b", "n": 1}
        arguments = asked(GRPC.replace("METADATA", ""), given)
        policy = {"bearer": {"token": "t"}}
        assert arguments == {
            "proto": {"endpoint": {"uri": "https://x/a%20b", "authentication": policy}},
            "service": {"name": "S", "host": "h", "port": 1, "authentication": policy},
            "method": "M",
            "arguments": {"n": 1},
        }

    @pytest.mark.parametrize("tls", [True, False])
    def test_metadata_say_whether_it_is_encrypted(self, tls: bool) -> None:
        text = GRPC.replace("METADATA", f"metadata: {{grpc: {{tls: {str(tls).lower()}}}}}")
        assert asked(text, {"token": "t"})["tls"] is tls

    @pytest.mark.parametrize("metadata", ["grpc: 1", "grpc: {tls: maybe}", "other: 1"])
    def test_other_metadata_mean_nothing(self, metadata: str) -> None:
        text = GRPC.replace("METADATA", f"metadata: {{{metadata}}}")
        assert "tls" not in asked(text, {"token": "t"})


class TestSubscriptions:
    def test_expressions_about_messages_are_sent_along_with_what_they_see(self) -> None:
        given = {"rooms": [7], "most": 2, "time": "PT5S"}
        arguments = asked(SUBSCRIBE, given)
        assert arguments["authentication"] == {"bearer": {"token": "t"}}
        assert arguments["subscription"] == {"consume": {"for": "PT5S"}}
        assert arguments["expressions"] == {
            "filter": "${ .payload.room == $room and .n > $context.n }",
            "while": "${ length < $input.most }",
        }
        assert arguments["variables"] == {"room": 7, "context": None, "input": given}

    def test_the_messages_are_the_output(self) -> None:
        text = SUBSCRIBE.replace(".rooms", "[1]")
        assert run(text, {"time": "PT1S"}, {"asyncapi": [[{"n": 1}]]}).output == [{"n": 1}]


class TestForeach:
    def test_each_message_is_worked_on_in_order(self) -> None:
        feed = Feed(1, 2, 3)
        driver = run(each("{amount: 3}"), None, feed)
        assert driver.output == [2, 4, 6]
        assert feed.batches == [{"limit": 3, "last": True}]
        assert [t.arguments["i"] for t in driver.dispatched if t.kind != "asyncapi"] == [0, 1, 2]

    def test_fewer_messages_than_wanted_lead_to_another_question(self) -> None:
        answers = [[1], [2, 3]]
        driver = run(each("{amount: 3}"), None, {"asyncapi": answers, "f": lambda t: t.arguments})
        fetches = [task for task in driver.dispatched if task.kind == "asyncapi"]
        assert [task.arguments["batch"]["limit"] for task in fetches] == [3, 2]
        assert len({task.task for task in fetches}) == 2
        assert {task.key for task in fetches} == {"x1:/do/0/sub"}
        assert driver.output == [{"m": n, "i": n - 1} for n in (1, 2, 3)]

    def test_many_messages_are_asked_for_in_portions(self) -> None:
        feed = Feed(*range(250))
        assert run(each("{amount: 230}"), None, feed).output == [2 * n for n in range(230)]
        assert [batch["limit"] for batch in feed.batches] == [100, 100, 30]
        assert [batch["last"] for batch in feed.batches] == [False, False, True]

    def test_while_is_asked_after_each_message_with_what_it_exported(self) -> None:
        export = f"export: {MESSAGES}"
        consume = "{while: '${ ($context.seen | length) < 2 }'}"
        feed = Feed(1, 2, 3)
        assert run(each(consume, export), None, feed).output == [2, 4]
        assert feed.batches == [{"limit": 1}, {"limit": 1}]

    def test_until_is_asked_before_each_message(self) -> None:
        assert run(each("{until: '${ length == 2 }'}"), None, Feed(1, 2, 3)).output == [2, 4]
        driver = run(each("{until: '${ true }'}"), None, Feed(1))
        assert (driver.output, driver.dispatched) == ([], [])

    def test_an_amount_of_nothing_asks_for_nothing(self) -> None:
        driver = run(each("{amount: 0}"), None, Feed(1))
        assert (driver.output, driver.dispatched) == ([], [])

    def test_no_message_means_that_the_time_is_over(self) -> None:
        feed = Feed(1)
        driver = run(each("{while: '${ true }', for: PT10S}"), None, feed)
        assert driver.output == [2]
        ends = driver.env and feed.batches[0]["ends"]
        assert [batch["ends"] for batch in feed.batches] == [ends, ends]
        assert ends == driver.now + 10_000_000

    def test_output_and_export_are_those_of_each_message(self) -> None:
        foreach = f"output: {{as: '${{ {{v: ., m: $m, i: $i}} }}'}}\n          export: {MESSAGES}"
        driver = run(each("{amount: 2}", foreach), None, Feed(1, 2))
        assert driver.output == [{"v": 2, "m": 1, "i": 0}, {"v": 4, "m": 2, "i": 1}]
        assert driver.live.context == {"seen": driver.output}

    def test_the_filter_sees_the_context_of_its_time(self) -> None:
        export = "export: {as: '${ {least: .} }'}"
        driver = run(each("{until: '${ length == 2 }'}", export), None, Feed(1, 2))
        fetches = [task for task in driver.dispatched if task.kind == "asyncapi"]
        variables = [task.arguments["variables"]["context"] for task in fetches]
        assert variables == [None, {"least": 2}]

    def test_a_failure_of_the_work_is_one_of_the_task(self) -> None:
        failure = Failure(type=BASE + "runtime", status=500)
        driver = run(each("{amount: 2}"), None, {"asyncapi": [[1, 2]], "f": failure})
        assert driver.failure.instance == "/do/0/sub/with/subscription/foreach/do/0/work"

    def test_a_failure_of_the_subscription_is_one_of_the_task(self) -> None:
        failure = Failure(type=BASE + "communication", status=503)
        driver = run(each("{amount: 2}"), None, {"asyncapi": [[1], failure], "f": 0})
        assert (driver.failure.instance, driver.failure.status) == ("/do/0/sub", 503)

    def test_without_tasks_the_messages_themselves_are_the_outputs(self) -> None:
        text = each("{amount: 2}").replace("do: [{work:", "x-do: [{work:")
        assert run(text, None, Feed(1, 2)).output == [1, 2]

    def test_a_timeout_withdraws_what_is_asked(self) -> None:
        driver = Driver(each("{amount: 2}", timeout="timeout: {after: PT5S}"), None, Feed(1))
        driver.begin()
        driver.work()
        driver.work()
        assert driver.dispatched[-1].deadline == driver.timers["2t"]
        driver.fire()
        assert driver.failure.status == 408
        assert driver.withdrawn == [driver.dispatched[-1].task]

    @pytest.mark.parametrize("steps", range(6))
    def test_a_new_owner_goes_on_where_the_old_one_was(self, steps: int) -> None:
        driver = Driver(each("{until: '${ length == 3 }'}"), None, Feed(1, 2, 3)).begin()
        for _ in range(steps):
            driver.work()
        driver.reload()
        driver.queue = [t for t in open_effects(driver.live) if isinstance(t, Dispatch)]
        assert driver.run().output == [2, 4, 6]
