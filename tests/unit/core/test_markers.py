"""Markers: what stands for secrets, and how real values take its place."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flunq.core.markers import (
    VARIABLE,
    MarkerError,
    Revealer,
    is_marker,
    marker,
    name_in,
    occurs,
    path_of,
    transformed,
    unfold,
)

NONCE = "0" * 32


def reveal(value: Any, found: Any = "S") -> Any:
    return Revealer(NONCE, lambda keys: found).value(value)


def of(*keys: str) -> str:
    return marker(NONCE, path_of(list(keys)))


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_any_path_comes_back_and_any_uri_carries_it(keys: list[str]) -> None:
    asked: list[list[str]] = []
    text = of(*keys)
    Revealer(NONCE, lambda found: asked.append(found)).value(f"<{text}{text}>")
    assert asked == [keys]
    assert quote(text, safe="") == text
    assert (is_marker(text), name_in(path_of(keys))) == (True, keys[0])


def test_a_marker_alone_becomes_the_value_and_inside_a_text_its_text() -> None:
    assert reveal({"a": [of("x")], of("x"): 1}, {"k": 1}) == {"a": [{"k": 1}], '{"k":1}': 1}
    assert reveal(f"a{of('x')}b{of('x')}", 7) == "a7b7"


@pytest.mark.parametrize(
    "text",
    [
        "~secret.",
        "~secret.00.x~",
        marker("1" * 32, "x"),
        f"~secret.{NONCE}.x",
        f"~secret.{NONCE}.x y~",
        f"secret.{NONCE}.x~",
    ],
)
def test_anything_else_stays_as_it_is(text: str) -> None:
    assert reveal(text) == text


def test_a_transformation_works_on_the_whole_text() -> None:
    inner = transformed(f"{of('x')}:{of('y')}", "base64")
    assert inner is not None
    assert reveal(f"Basic {inner}", "ä") == "Basic w6Q6w6Q="
    assert reveal(transformed(inner, "uri"), "ä") == "w6Q6w6Q%3D"
    assert transformed("no marker", "base64") is None


def test_a_text_that_was_tampered_with_is_refused() -> None:
    with pytest.raises(MarkerError):
        reveal(f"~secret.{NONCE}..rot13.AAAA~")
    with pytest.raises(MarkerError):
        reveal(f"~secret.{NONCE}..base64.A~")
    with pytest.raises(MarkerError):
        Revealer("", lambda keys: None)


def test_transformations_nest_only_so_deep() -> None:
    text: str | None = of("x")
    for _ in range(12):
        assert text is not None
        text = transformed(text, "text")
    with pytest.raises(MarkerError):
        reveal(text)


def test_what_was_revealed_is_known_by_its_marker() -> None:
    revealer = Revealer(NONCE, lambda keys: {"a": 1})
    revealer.value([of("x"), of("y", "z")])
    assert revealer.revealed == {of("x"): {"a": 1}, of("y", "z"): {"a": 1}}


def test_markers_are_found_wherever_they_are() -> None:
    assert occurs(NONCE, {"a": [{of("x"): 1}]})
    assert not occurs(NONCE, {"a": [1, None, "b"]})


def test_variables_unfold_into_one_object() -> None:
    paths = {VARIABLE + path_of(["a", "b c"]): 1, VARIABLE + path_of(["d"]): 2}
    assert unfold(paths) == {"a": {"b c": 1}, "d": 2}
    with pytest.raises(MarkerError):
        unfold({f"{VARIABLE}a": 1, f"{VARIABLE}a.b": 2})
    with pytest.raises(MarkerError):
        unfold({f"{VARIABLE}a.b": 2, f"{VARIABLE}a": 1})
