"""Bytecode that the processes of one test run share, where none may be kept beside the sources."""

from __future__ import annotations

import os
import shutil
import sys
from tempfile import mkdtemp

FOLDER = "PYTHONPYCACHEPREFIX"
REFUSED = "PYTHONDONTWRITEBYTECODE"


def share_bytecode() -> str | None:
    """Give processes that are started from now on a folder to share; None if they need none.

    Without it each process of a cluster compiles everything again, which is most of its start.
    """
    if not sys.dont_write_bytecode or FOLDER in os.environ:
        return None
    os.environ.pop(REFUSED, None)
    os.environ[FOLDER] = folder = mkdtemp(prefix="flunq-compiled-")
    return folder


def forget_bytecode(folder: str | None) -> None:
    """Remove the folder, if there is one."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
