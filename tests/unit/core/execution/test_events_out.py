"""``emit``: events on the tenant's bus."""

from __future__ import annotations

import pytest

from flunq.core.execution.turn import MAX_EVENT
from tests.support.driver import BASE, Driver, run

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


def emitted(properties: str, input: object = None) -> Driver:
    with_ = f"{{source: 'a:b', type: t, {properties}}}"
    return run(f"do: [{{e: {{emit: {{event: {{with: {with_}}}}}}}}}]", input)


@pytest.mark.parametrize(
    ("properties", "kind"),
    [
        ("traceParent: x", "validation"),
        ("my_ext: x", "validation"),
        ("ext: {a: 1}", "validation"),
        ("ext: 1.5", "validation"),
        ("subject: ''", "expression"),
        ("time: '${ 3 }'", "expression"),
        ("specversion: '0.3'", "validation"),
        ("data: 1, data_base64: AA==", "validation"),
        ("data_base64: '?'", "validation"),
        ("data_base64: 3", "validation"),
        ("type: io.flunq.commit", "authorization"),
        ("type: io.serverlessworkflow.task.completed.v1", "authorization"),
    ],
)
def test_an_event_must_be_a_cloudevent_of_the_author(properties: str, kind: str) -> None:
    driver = emitted(properties)
    assert (driver.failure.type, driver.published) == (BASE + kind, [])


def test_an_attribute_that_is_null_is_not_there() -> None:
    driver = emitted("subject: '${ .none }', ext: null, data: null", {})
    (event,) = driver.published
    assert "subject" not in event
    assert "ext" not in event
    assert event["data"] is None


@pytest.mark.parametrize(
    ("properties", "content_type"),
    [
        ("data_base64: AAE=", "application/octet-stream"),
        ("data_base64: AAE=, datacontenttype: image/png", "image/png"),
        ("data: <a/>, datacontenttype: text/xml", "text/xml"),
        ("data: 1", "application/json"),
        ("ext: true", None),
    ],
)
def test_the_content_type_follows_the_data(properties: str, content_type: str | None) -> None:
    (event,) = emitted(properties).published
    assert event.get("datacontenttype") == content_type


def test_an_event_that_no_message_can_hold_is_an_error_of_its_task() -> None:
    driver = emitted("data: '${ . }'", "x" * MAX_EVENT)
    assert (driver.failure.type, driver.failure.status) == (BASE + "runtime", 413)
    assert (driver.failure.instance, driver.published) == ("/do/0/e", [])
    assert emitted("data: '${ . }'", "x" * (MAX_EVENT - 500)).published != []
