"""``emit``: events on the tenant's bus."""

from __future__ import annotations

import pytest

from tests.support.driver import BASE, run

EMIT = """
do:
- greet:
    emit:
      event:
        with: {source: 'https://shop', type: com.shop.greeted.v1, data: {to: '${ .name }'}EXTRA}
"""


def test_the_whole_event_is_the_output_and_is_published() -> None:
    driver = run(EMIT.replace("EXTRA", ""), {"name": "Ada"})
    assert driver.output == {
        "specversion": "1.0",
        "id": "x1:/do/0/greet",
        "time": "2023-11-14T22:13:20.000000Z",
        "source": "https://shop",
        "type": "com.shop.greeted.v1",
        "datacontenttype": "application/json",
        "data": {"to": "Ada"},
    }
    assert driver.published == [driver.output]


def test_the_author_may_set_attributes_and_extensions() -> None:
    output = run(EMIT.replace("EXTRA", ", id: mine, subject: s, ext: 1"), {}).output
    assert (output["id"], output["subject"], output["ext"]) == ("mine", "s", 1)


def test_events_of_a_loop_have_different_ids() -> None:
    event = "{event: {with: {source: 'a:b', type: t}}}"
    text = f"do: [{{l: {{for: {{in: '[1,2]'}}, do: [{{e: {{emit: {event}}}}}]}}}}]"
    driver = run(text)
    assert [event["id"] for event in driver.published] == [
        "x1:/do/0/l/do/0/e#0", "x1:/do/0/l/do/0/e#1",
    ]  # fmt: skip


@pytest.mark.parametrize("properties", ["'${ 3 }'", "{source: '${ 3 }', type: t}"])
def test_an_event_that_is_none_is_an_expression_error(properties: str) -> None:
    failure = run(f"do: [{{e: {{emit: {{event: {{with: {properties}}}}}}}}}]").failure
    assert failure.type == BASE + "expression"
