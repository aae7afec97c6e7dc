"""Failures: their words, their object and their exit code."""

from __future__ import annotations

import json
import os

import pytest

from flunq import errors
from flunq.cli import diagnostics, output, session
from flunq.cli.exits import ExitCode
from flunq.cli.session import OutputFormat


def failing(error: BaseException) -> object:
    raise error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ExecutionFailedError("x"), ExitCode.FAILED),
        (errors.UsageError("x"), ExitCode.USAGE),
        (errors.RejectedError("x"), ExitCode.REJECTED),
        (errors.IdConflictError("x"), ExitCode.REJECTED),
        (errors.NotFoundError("x"), ExitCode.NOT_FOUND),
        (errors.WaitTimeoutError("x"), ExitCode.TIMED_OUT),
        (errors.UnavailableError("x"), ExitCode.UNAVAILABLE),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (ZeroDivisionError("x"), ExitCode.FAILED),
    ],
)
def test_every_failure_has_its_exit_code(error: BaseException, code: ExitCode) -> None:
    assert diagnostics.run(lambda: failing(error)) == code


def test_an_error_is_one_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.UnavailableError("no answer", hint="flunq up", where="nats://x")
    diagnostics.run(lambda: failing(error))
    captured = capsys.readouterr()
    assert captured.err == "error: no answer (nats://x)\nhint: flunq up\n"
    assert captured.out == ""


def test_json_gets_a_problem_object_too(capsys: pytest.CaptureFixture[str]) -> None:
    session.update(output=OutputFormat.JSON)
    diagnostics.run(lambda: failing(errors.NotFoundError("no such thing", id="x")))
    captured = capsys.readouterr()
    problem = json.loads(captured.out)
    assert (problem["type"], problem["status"]) == ("urn:flunq:error:not-found", 404)
    assert captured.err.startswith("error: no such thing")


def test_a_defect_shows_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    diagnostics.run(lambda: failing(ZeroDivisionError("oops")))
    printed = capsys.readouterr().err
    assert printed.startswith("error: ZeroDivisionError: oops\nhint:")
    assert "Traceback" not in printed


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    session.update(debug=True)
    diagnostics.run(lambda: failing(ZeroDivisionError("oops")))
    assert "Traceback" in capsys.readouterr().err


def test_words_are_silent_when_quiet_but_warnings_are_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    session.update(quiet=True)
    diagnostics.say("started")
    diagnostics.warn("careful", hint="look")
    assert capsys.readouterr().err == "warning: careful\nhint: look\n"


def test_details_need_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    diagnostics.detail("hidden")
    session.update(verbose=True)
    diagnostics.detail("told")
    assert capsys.readouterr().err == "told\n"


def test_an_error_text_cannot_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    diagnostics.run(lambda: failing(errors.RejectedError("bad \x1b[2J")))
    assert "\x1b" not in capsys.readouterr().err


def test_an_exit_code_can_be_returned() -> None:
    assert diagnostics.run(lambda: ExitCode.REJECTED) == 3
    assert diagnostics.run(lambda: True) == 0
    assert diagnostics.run(lambda: {"data": 1}) == 0


def test_a_reader_that_leaves_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        assert diagnostics.run(lambda: output.emit_text("data")) == 0
