"""Completion of names by the shell: at once, or silently nothing; it never starts a cluster."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typer.core import TyperGroup

VARIABLE = "_FLUNQ_COMPLETE"
BUDGET = 0.1
"""Seconds that a shell may be kept waiting."""


def quietly(names: Callable[[], list[str]]) -> Callable[..., list[str]]:
    """Turn a source of names into a completion that fails silently and within the budget."""

    # Typer tells the parameters of a completion apart by these names.
    def complete(ctx: Any = None, args: Any = None, incomplete: str = "") -> list[str]:
        with suppress(Exception), _deadline(BUDGET):
            return names()
        return []

    return complete


def _context_names() -> list[str]:
    from flunq.contexts import ContextStore

    return [context.name for context in ContextStore().all()]


contexts = quietly(_context_names)
"""Completes the name of a context."""


def _tenant_names() -> list[str]:
    from flunq.cli import quick

    return quick.tenant_names()


tenants = quietly(_tenant_names)
"""Completes the name of a tenant."""


def respond(root: TyperGroup, instruction: str) -> int:
    """Answer the shell that asked through the environment."""
    from typer import _completion_classes, completion

    # Typer strips markup from help through Rich, which is slow and not needed: ours is plain.
    _completion_classes._sanitize_help_text = lambda text: text
    _completion_classes.completion_init()
    return completion.shell_complete(root, {}, "flunq", VARIABLE, instruction)


def script(shell: str) -> str:
    """Return the script that a shell has to read."""
    from typer._completion_shared import get_completion_script

    return get_completion_script(prog_name="flunq", complete_var=VARIABLE, shell=shell)


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Interrupt the block after so many seconds, where the platform has an interval timer."""
    import signal
    import threading

    if not hasattr(signal, "setitimer") or threading.current_thread().name != "MainThread":
        yield
        return

    def expired(_number: int, _frame: Any) -> NoReturn:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
