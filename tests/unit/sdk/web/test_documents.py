from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.web.documents import load_document, parse
from flunq.sdk.web.resources import Resource
from tests.support.http_stub import Answer, HttpStub

if TYPE_CHECKING:
    from flunq.sdk.context import TaskContext

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]"
    for before, name in zip("abcdefghij", "bcdefghijk", strict=True)
)


def _resource(text: str | bytes, media_type: str | None = None) -> Resource:
    content = text.encode() if isinstance(text, str) else text
    return Resource(uri="http://x/doc", content=content, media_type=media_type)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1]}', {"a": [1]}),
        ("\ufeff [1]", [1]),
        ("{a: 1}", {"a": 1}),
        ("on: yes\n200: {x: 1.0}\n", {"on": "yes", "200": {"x": 1.0}}),
        ("when: 2024-01-01", {"when": "2024-01-01"}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
    ],
)
def test_json_and_yaml_are_told_apart(text: str, value: Any) -> None:
    assert parse(_resource(text)) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1", "line"),
        ("a: 1\na: 2", "duplicate key"),
        ("", "empty"),
        ("a: !!python/object/apply:os.system ['true']", "unknown tag"),
        (BOMB, "more than 150,000 values"),
        ("[" * 100_000, "nested"),
        ('{"a":' * 100_000, "nested"),
        ("a: \x00", "neither JSON nor YAML"),
        ("&a [*a]", "contains itself"),
    ],
)
def test_what_cannot_be_read_is_a_validation_error(text: str, problem: str) -> None:
    with pytest.raises(TaskError) as caught:
        parse(_resource(text))
    assert (caught.value.type, caught.value.status) == (f"{ERRORS}validation", 400)
    assert problem in (caught.value.detail or "")


def test_what_is_called_json_is_not_read_as_yaml() -> None:
    with pytest.raises(TaskError, match="neither JSON nor YAML"):
        parse(_resource("{a: 1}", "application/json"))


async def test_a_document_is_parsed_once(stub: HttpStub, context: TaskContext) -> None:
    url = stub.answer("/d", Answer(json={"a": ["x" * 100] * 1000}))
    first = await load_document(url, context)
    assert (await load_document({"endpoint": url}, context)).value is first.value
    assert (first.uri, len(first.value["a"])) == (url, 1000)


async def test_the_same_text_elsewhere_is_another_document(
    stub: HttpStub, context: TaskContext
) -> None:
    urls = [stub.answer(path, Answer(json={"a": 1})) for path in ("/a", "/b")]
    assert [(await load_document(url, context)).uri for url in urls] == urls
