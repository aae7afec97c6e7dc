"""The only writer to stderr, and the keeper of the exit code.

Errors are ``error: what (where)`` and ``hint: the next command``, one line each, never a traceback
unless ``--debug`` asks for it. With ``-o json`` the same error is an RFC 9457 object on stdout.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from flunq.cli import output, text
from flunq.cli.exits import ExitCode
from flunq.cli.session import current
from flunq.cli.suggest import did_you_mean
from flunq.errors import FlunqError, InternalError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer._click.exceptions import ClickException


_CLICK_JARGON = (
    ("a valid int range", "a whole number"),
    ("a valid float range", "a number"),
    ("a valid integer", "a whole number"),
    ("a valid int", "a whole number"),
    ("a valid float", "a number"),
)


def say(*lines: str) -> None:
    """Tell what changed and what to do next; silent with ``-q``."""
    if not current().quiet:
        _write(*lines)


def detail(*lines: str) -> None:
    """Tell what only ``-v`` asks for."""
    if current().verbose:
        _write(*(text.paint(line, "dim", sys.stderr) for line in lines))


def warn(message: str, hint: str | None = None) -> None:
    """Warn about something that does not stop the command."""
    _write(f"{text.paint('warning:', 'yellow', sys.stderr)} {text.neutralise(message)}")
    _hint(hint)


def report(error: FlunqError) -> None:
    """Show an error: one line and a hint on stderr, an object on stdout when that is JSON."""
    if current().machine_readable:
        output.emit_problem(error.problem())
    _tell(error)


def _tell(error: FlunqError) -> None:
    lines = error.message.splitlines() or [error.title]
    label = text.paint("error:", "red", sys.stderr)
    _write(f"{label} {text.neutralise(lines[0])}{_where(error)}")
    _write(*(text.neutralise(line) for line in lines[1:]))
    _hint(error.hint)


def write_status(content: str) -> None:
    """Rewrite the current line of the terminal; only progress uses it."""
    sys.stderr.write(content)
    sys.stderr.flush()


def run(command: Callable[[], object]) -> int:
    """Run a command and return its exit code; whatever goes wrong is shown, never raised."""
    code: int = ExitCode.DONE
    try:
        code = _run_reporting(command)
        output.flush()
    except BrokenPipeError:
        _leave_pipe()
        return ExitCode.DONE
    except OSError as error:  # what was printed before may be refused only now
        _leave_pipe()
        if code == ExitCode.DONE:
            _tell(InternalError(f"cannot write to stdout: {(error.strerror or '').lower()}"))
            code = ExitCode.FAILED
    return code


def _run_reporting(command: Callable[[], object]) -> int:
    try:
        result = command()
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except FlunqError as error:
        report(error)
        _traceback()
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last boundary: a user sees no traceback
        return _unexpected(error)
    return result if isinstance(result, int) and result is not True else ExitCode.DONE


def _unexpected(error: Exception) -> int:
    from typer._click.exceptions import ClickException, NoArgsIsHelpError
    from typer.exceptions import Abort, Exit

    if isinstance(error, Exit):
        return error.exit_code
    if isinstance(error, Abort):
        return ExitCode.INTERRUPTED
    if isinstance(error, NoArgsIsHelpError):
        output.emit_text(error.format_message())
        return ExitCode.DONE
    if isinstance(error, ClickException):
        report(_from_click(error))
        return ExitCode.USAGE
    report(_from_exception(error))
    _traceback()
    return ExitCode.FAILED


def _from_click(error: ClickException) -> UsageError:
    from typer._click.exceptions import NoSuchOption
    from typer._click.exceptions import UsageError as ClickUsageError

    context = error.ctx if isinstance(error, ClickUsageError) else None
    hint = f"{context.command_path} --help" if context else None
    message = error.format_message().rstrip(".")
    for jargon, words in _CLICK_JARGON:
        message = message.replace(jargon, words)
    if isinstance(error, NoSuchOption) and context:
        message = f"no such option: {error.option_name}"
        options = [name for param in context.command.params for name in param.opts]
        hint = did_you_mean(error.option_name, options) or hint
    return UsageError(message[:1].lower() + message[1:], hint=hint)


def _from_exception(error: Exception) -> FlunqError:
    if isinstance(error, OSError) and error.strerror:
        where = {"where": str(error.filename)} if error.filename else {}
        return InternalError(error.strerror.lower(), **where)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return InternalError(what, hint="run it again with --debug to see where it came from")


def _where(error: FlunqError) -> str:
    where = error.details.get("where")
    return f" ({text.neutralise(str(where))})" if where else ""


def _hint(hint: str | None) -> None:
    if hint:
        _write(f"{text.paint('hint:', 'cyan', sys.stderr)} {text.neutralise(hint)}")


def _traceback() -> None:
    if current().debug:
        import traceback

        _write(traceback.format_exc().rstrip())


def _write(*lines: str) -> None:
    stream: Any = sys.stderr
    if lines and not stream.closed:
        encoding = stream.encoding or "utf-8"
        content = "\n".join(lines) + "\n"
        stream.write(content.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()


def _leave_pipe() -> None:
    """Nobody reads any more: let the interpreter's last flush go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, output.stream().fileno())
    os.close(nowhere)
