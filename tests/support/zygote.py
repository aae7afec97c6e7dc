"""A process that has imported ``flunq`` and becomes the command, forked, for each request.

Each command is a process of its own, with its own folder, environment and files, as when it is
typed; only the imports, most of what a short command costs, are done once. A request comes on
descriptor 0 of this program: files for what is asked and for 0, 1 and 2, and a socket that gets
the number of the process and then its exit status.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

PACKAGES = ("flunq.cli.commands", "flunq.cli.rendering", "flunq.client", "flunq.log.nats")
MODULES = ("flunq.cli.group", "flunq.services.supervisor", "flunq.store.query_job", "yaml")


def preload() -> None:
    """Import what most commands import."""
    for package in PACKAGES:
        found = importlib.import_module(package)
        for each in pkgutil.iter_modules(found.__path__, f"{package}."):
            importlib.import_module(each.name)
    for name in MODULES:
        importlib.import_module(name)
    threads = Path("/proc/self/task")
    if threads.is_dir() and len(list(threads.iterdir())) != 1:
        raise RuntimeError("something that is imported starts threads: no process can be forked")
    # A collector that looks at what was imported copies all of it into every command.
    gc.collect()
    gc.freeze()


def next_request(control: socket.socket) -> dict[str, Any] | None:
    """Return a request in a process of its own; None when nobody asks any more."""
    while True:
        _, files, _, _ = socket.recv_fds(control, 1, 5)
        if not files:
            return None
        if os.fork() == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _as_command(*files)
        for file in files:
            os.close(file)


def _as_command(reply: int, asked: int, *standard: int) -> dict[str, Any]:
    process = os.fork()
    if process:
        os.write(reply, f"{process}\n".encode())
        _, status = os.waitpid(process, 0)
        os.write(reply, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    os.close(reply)
    for number, file in enumerate(standard):
        os.dup2(file, number)
        os.close(file)
    with open(asked, encoding="utf-8") as given:
        request: dict[str, Any] = json.load(given)
    return request


def become(request: dict[str, Any]) -> None:
    """Be the command that is asked for."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path.insert(0, request["cwd"])
    sys.argv = ["flunq", *request["arguments"]]
    from flunq.cli.main import main

    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, int):
            _leave(end.code)
        raise


def _leave(code: int) -> None:
    """End as the interpreter does, but take no module apart: that is most of a short command."""
    for orderly in (getattr(threading, "_shutdown"), getattr(atexit, "_run_exitfuncs")):  # noqa: B009 - no public names
        orderly()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    preload()
    wanted = next_request(socket.socket(fileno=os.dup(0)))
    if wanted is not None:
        become(wanted)
