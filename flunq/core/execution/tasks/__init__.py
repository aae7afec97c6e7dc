"""One module per kind of task, each with a handler; the table below is where kinds plug in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.core.execution.tasks.call import CallHandler
from flunq.core.execution.tasks.child import ChildHandler
from flunq.core.execution.tasks.emit import EmitHandler
from flunq.core.execution.tasks.extension import EXTENSION
from flunq.core.execution.tasks.fork import ForkHandler
from flunq.core.execution.tasks.function import FunctionHandler
from flunq.core.execution.tasks.listen import LISTEN
from flunq.core.execution.tasks.loop import LoopHandler
from flunq.core.execution.tasks.raising import RaiseHandler
from flunq.core.execution.tasks.run import RunHandler
from flunq.core.execution.tasks.sequence import SequenceHandler
from flunq.core.execution.tasks.setting import SetHandler
from flunq.core.execution.tasks.subscription import SubscriptionHandler
from flunq.core.execution.tasks.switch import SwitchHandler
from flunq.core.execution.tasks.trying import TryHandler
from flunq.core.execution.tasks.unsupported import UnsupportedHandler
from flunq.core.execution.tasks.wait import WaitHandler

if TYPE_CHECKING:
    from flunq.core.execution.tasks.base import Handler

HANDLERS: dict[str, Handler] = {
    "do": SequenceHandler(),
    "set": SetHandler(),
    "switch": SwitchHandler(),
    "for": LoopHandler(),
    "fork": ForkHandler(),
    "try": TryHandler(),
    "raise": RaiseHandler(),
    "wait": WaitHandler(),
    "emit": EmitHandler(),
    "listen": LISTEN,
    "call": CallHandler(),
    "subscription": SubscriptionHandler(),
    "run": RunHandler(),
    "child": ChildHandler(),
    "function": FunctionHandler(),
    "extension": EXTENSION,
    "unsupported": UnsupportedHandler(),
}
"""Handlers by the ``handler`` of a compiled task."""
