"""A cluster in the background: forked off, out of the terminal's reach, reporting until ready."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
from typing import TYPE_CHECKING, BinaryIO, Self

from flunq.errors import FlunqError, InternalError, UnavailableError
from flunq.services.supervising.layout import DataDirectory
from flunq.services.supervising.process import describe_exit
from flunq.services.supervising.statefile import ClusterState
from flunq.services.supervisor import Supervisor
from flunq.telemetry.logs import configure_logging

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from flunq.services.supervising.options import ClusterOptions

_log = logging.getLogger(__name__)

Report = ClusterState | FlunqError


class Background:
    """The parent's end: what the supervisor in the background reports until it is ready."""

    def __init__(self, pid: int, reports: BinaryIO) -> None:
        self.pid = pid
        self._reports = reports
        self._ready = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._reports.close()
        if not self._ready:
            # Whoever asked has given up or has seen the error; nothing is to be left behind.
            self._end()

    def until_ready(self, on_the_way: Callable[[ClusterState], None]) -> ClusterState:
        """Return the state once everything is ready; raises what kept it from being so."""
        while True:
            report = self._next()
            if isinstance(report, FlunqError):
                raise report
            if report.status == "ready":
                self._ready = True
                return report
            on_the_way(report)

    def _next(self) -> Report:
        try:
            # Written by our own fork; nobody else holds the other end of the pipe.
            report: Report = pickle.load(self._reports)  # noqa: S301 - see above
        except EOFError:
            _, status = os.waitpid(self.pid, 0)
            code = os.waitstatus_to_exitcode(status)
            return UnavailableError(f"the supervisor ended: {describe_exit(code)}")
        return report

    def _end(self) -> None:
        try:
            os.kill(self.pid, signal.SIGTERM)
        except ProcessLookupError:
            return


def start_in_background(options: ClusterOptions) -> Background:
    """Fork a supervisor that survives this process and its terminal."""
    DataDirectory(options.data).create()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _be_the_supervisor(options, os.fdopen(writing, "wb"))
    os.close(writing)
    return Background(pid, os.fdopen(reading, "rb"))


def _be_the_supervisor(options: ClusterOptions, reports: BinaryIO) -> NoReturn:
    code = 1
    try:
        os.setsid()
        _leave_the_terminal(DataDirectory(options.data))
        configure_logging(level=options.log_level)
        code = _run(options, reports)
    except BaseException:  # noqa: BLE001 - the last boundary of this process
        _log.exception("the supervisor crashed")
    finally:
        # The parent's exit handlers were inherited by the fork and are not ours to run.
        os._exit(code)


def _run(options: ClusterOptions, reports: BinaryIO) -> int:
    reporting = _Reporting(reports)
    try:
        asyncio.run(_supervise(options, reporting))
    except FlunqError as error:
        _log.error("%s", error.message)
        reporting.send(error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the parent is to know whatever it was
        _log.exception("the supervisor crashed")
        reporting.send(InternalError(f"{type(error).__name__}: {error}"))
        return 1
    return 0


async def _supervise(options: ClusterOptions, reporting: _Reporting) -> None:
    await Supervisor(options, changed=reporting.send).run(reporting.send)


class _Reporting:
    """Tells the parent what happens until the cluster is ready."""

    def __init__(self, reports: BinaryIO) -> None:
        self._reports = reports

    def send(self, report: Report) -> None:
        if self._reports.closed:
            return
        try:
            pickle.dump(report, self._reports)
            self._reports.flush()
        except BrokenPipeError:
            self._close()
            return
        if isinstance(report, FlunqError) or report.status == "ready":
            self._close()

    def _close(self) -> None:
        try:
            self._reports.close()
        except BrokenPipeError:
            _log.debug("nobody waits for the start any more")


def _leave_the_terminal(directory: DataDirectory) -> None:
    nowhere = os.open(os.devnull, os.O_RDONLY)
    log = os.open(directory.log_file("supervisor"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nowhere, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(nowhere)
    os.close(log)
