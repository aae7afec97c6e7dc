"""What ``validate`` says about branches that need each other."""

from __future__ import annotations

import pytest

from flunq.core.reading import check_document

HEAD = "document: {dsl: 1.0.3, namespace: t, name: g, version: 1.0.0}\n"
TEXT = HEAD + (
    "do:\n- f:\n    fork:\n      compete: COMPETE\n      branches:\n"
    "      - a: {set: {x: 1}, metadata: {needs: NEEDS_A}}\n"
    "      - b: {set: {x: 1}, metadata: {needs: NEEDS_B}}\n"
)


def check(a: str, b: str, compete: str = "false") -> list[tuple[str, str, int]]:
    text = TEXT.replace("COMPETE", compete).replace("NEEDS_A", a).replace("NEEDS_B", b)
    return [(p.rule, p.path, p.line) for p in check_document(text, name="g.yaml")]


BRANCHES = "/do/0/f/fork/branches"


@pytest.mark.parametrize(
    ("a", "b", "compete", "problem"),
    [
        ("[c]", "[]", "false", ("fork-needs", f"{BRANCHES}/0/a/metadata/needs/0", 7)),
        ("a", "[]", "false", ("fork-needs", f"{BRANCHES}/0/a/metadata/needs", 7)),
        ("[]", "[a]", "true", ("fork-needs", f"{BRANCHES}/0/a/metadata/needs", 7)),
        ("[b]", "[a]", "false", ("fork-cycle", f"{BRANCHES}/0/a/metadata/needs", 7)),
        ("[]", "[b]", "false", ("fork-cycle", f"{BRANCHES}/1/b/metadata/needs", 8)),
    ],
)
def test_what_cannot_be_run_is_reported_where_it_stands(
    a: str, b: str, compete: str, problem: tuple[str, str, int]
) -> None:
    assert check(a, b, compete) == [problem]


def test_the_message_names_the_way_round() -> None:
    text = TEXT.replace("COMPETE", "false").replace("NEEDS_A", "[b]").replace("NEEDS_B", "[a]")
    [problem] = check_document(text, name="g.yaml")
    assert problem.message == "these branches need each other: a -> b -> a"


def test_a_graph_is_valid() -> None:
    assert check("[]", "[a]") == []
