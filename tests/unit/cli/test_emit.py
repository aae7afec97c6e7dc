"""What ``flunq emit`` takes for the type of an event."""

from __future__ import annotations

import pytest

from flunq.cli import main


@pytest.mark.parametrize(
    "what",
    [
        '{"type":"a.b"}',
        '[{"type":"a.b"}]',
        ' {"type":"a.b"}',
        '"a.b"',
        "'a.b'",
        "a b",
        "a\x00b",
        "",
    ],
)
def test_what_evidently_is_no_type_is_refused(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["emit", what]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "is no type of an event" in said.err
    assert "flunq emit event.json, flunq emit -" in said.err


@pytest.mark.parametrize(
    "what", ["com.example.paid", "urn:x:it's", "https://example.com/{id}", "é"]
)
def test_any_other_type_is_for_the_cluster_to_judge(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["emit", what]) == 6
    assert "no cluster is known" in capsys.readouterr().err
