from __future__ import annotations

import email
import email.policy
from typing import Any

import pytest

from flunq.sdk.executor import TaskError
from flunq.sdk.web.body import decode_body, encode_body
from flunq.sdk.web.forms import encode_form, encode_multipart, file_part, multipart_parts


@pytest.mark.parametrize(
    ("body", "content_type", "sent"),
    [
        ({"a": 1}, None, (b'{"a":1}', "application/json")),
        ({"a": 1}, "application/vnd.x+json", (b'{"a":1}', "application/vnd.x+json")),
        ("é", None, ("é".encode(), "text/plain; charset=utf-8")),
        ("é", "text/plain; charset=latin-1", (b"\xe9", "text/plain; charset=latin-1")),
        ('{"a":1}', "application/json", (b'{"a":1}', "application/json")),
        ("AAH/", "image/png", (b"\0\x01\xff", "image/png")),
        ("AAH/", "application/octet-stream", (b"\0\x01\xff", "application/octet-stream")),
        ("<svg/>", "image/svg+xml", (b"<svg/>", "image/svg+xml")),
        ("any", "application/graphql", (b"any", "application/graphql")),
        (False, None, (b"false", "application/json")),
        (None, "text/plain", (b"", "text/plain")),
        (None, None, (b"", None)),
    ],
)
def test_a_body_is_what_its_content_type_says(
    body: Any, content_type: str | None, sent: tuple[bytes, str | None]
) -> None:
    assert encode_body(body, content_type) == sent


@pytest.mark.parametrize(
    ("body", "content_type", "problem"),
    [
        ("no base64", "image/png", "a body of type image/png must be base64 text"),
        ("é", "text/plain; charset=ascii", "cannot be written in the charset"),
        ("a", "text/plain; charset=nonsense", "cannot be written in the charset"),
    ],
)
def test_a_text_that_does_not_fit_is_a_validation_error(
    body: str, content_type: str, problem: str
) -> None:
    with pytest.raises(TaskError, match=problem) as caught:
        encode_body(body, content_type)
    assert caught.value.status == 400


def test_a_form_holds_plain_values() -> None:
    fields = {"a": "x y&z", "b": [1, True], "c": None, "d": {"e": 1}, "f": 2.0}
    assert encode_form(fields) == b"a=x+y%26z&b=1&b=true&d=%7B%22e%22%3A1%7D&f=2"


def _read(body: bytes, content_type: str) -> list[tuple[Any, Any, Any, Any]]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message: Any = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    return [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part["content-type"],
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    ]


def test_an_object_can_be_sent_in_parts() -> None:
    body, content_type = encode_body({"a": "é", "b": [1, 2], "c": {"d": 1}}, "multipart/form-data")
    assert _read(body, content_type or "") == [
        ("a", None, None, "é".encode()),
        ("b", None, None, b"1"),
        ("b", None, None, b"2"),
        ("c", None, "application/json", b'{"d":1}'),
    ]


def test_a_file_is_a_part_with_a_name() -> None:
    body, content_type = encode_multipart([file_part("photo", "AAH/", "image/png")])
    assert _read(body, content_type) == [("photo", "photo", "image/png", b"\0\x01\xff")]


def test_the_same_parts_give_the_same_bytes() -> None:
    parts = multipart_parts({"a": "1"})
    assert encode_multipart(parts) == encode_multipart(parts)


def test_a_name_cannot_add_a_header() -> None:
    body, _ = encode_multipart(multipart_parts({'a"\r\nX-Evil: 1': "b"}))
    assert b'name="a%22%0D%0AX-Evil: 1"' in body


@pytest.mark.parametrize("value", ["not base64!", 5, None])
def test_a_file_has_to_be_base64(value: Any) -> None:
    with pytest.raises(TaskError, match="the file f must be base64 text"):
        file_part("f", value)


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("application/x-ndjson", "1\n2\n"),
        ("application/jwt", "1\n2\n"),
        ("application/openapi+yaml", "1\n2\n"),
        ("application/unheard-of", "MQoyCg=="),
    ],
)
def test_more_types_than_text_are_text(content_type: str, content: str) -> None:
    assert decode_body(b"1\n2\n", content_type) == content
