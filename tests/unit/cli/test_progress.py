"""Progress on stderr."""

from __future__ import annotations

import pytest

from flunq.cli import session
from flunq.cli.progress import Progress, effective_mode, progress
from flunq.cli.session import ProgressMode


def test_without_a_terminal_progress_is_plain_lines() -> None:
    assert effective_mode() is ProgressMode.PLAIN


def test_quiet_means_no_progress() -> None:
    session.update(quiet=True, progress=ProgressMode.PLAIN)
    assert effective_mode() is ProgressMode.NONE


def test_something_fast_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("quick"):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(ProgressMode.PLAIN, "working\n"), (ProgressMode.JSON, '"message":"working"')],
)
def test_each_message_is_a_line_of_its_own(
    mode: ProgressMode, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Progress("working", mode)
    shown._done.set()
    shown._print_lines()
    assert expected in capsys.readouterr().err


def test_the_line_on_a_terminal_is_cleared_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Progress("working", ProgressMode.AUTO)
    shown._done.set()
    shown._animate()
    printed = capsys.readouterr().err
    assert "working" in printed
    assert printed.endswith("\r\x1b[K")
