"""Does an event meet the filter of a rule?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.alerts import FIRING, RESOLVED
from flunq.core.events import COMMIT, FENCE, short_type
from flunq.core.execution.matching import fits
from flunq.core.expressions import ExpressionError, NeedsEvaluation, compile_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flunq.core.alerts import AlertRule
    from flunq.core.events import LazyEvent
    from flunq.core.expressions import ExpressionEngine

_UNHEARD = frozenset({COMMIT, FENCE, FIRING, RESOLVED})
"""What nobody is told of; an alert about alerts would never end."""


class ConditionError(Exception):
    """The condition of a rule could not be evaluated."""


def could_meet(rule: AlertRule, attributes: Mapping[str, Any]) -> bool:
    """Tell whether an event has the attributes that a rule wants."""
    return attributes.get("type") not in _UNHEARD and all(
        _has(attributes, name, wanted) for name, wanted in rule.on.items()
    )


def _has(attributes: Mapping[str, Any], name: str, wanted: str) -> bool:
    found = attributes.get(name)
    if found is None:
        return False
    if name == "type" and fits(wanted, short_type(str(found))):
        return True
    return fits(wanted, str(found))


def attributes_of(event: LazyEvent) -> dict[str, Any]:
    """Return the attributes of an event of the journal."""
    members = msgspec.structs.asdict(event)
    del members["data"]
    return {name: value for name, value in members.items() if value is not msgspec.UNSET}


async def meets(rule: AlertRule, event: Mapping[str, Any], engine: ExpressionEngine) -> bool:
    """Tell whether the condition of a rule holds for an event; raises ConditionError."""
    if not rule.when:
        return True
    try:
        found = compile_runtime(rule.when).evaluate(dict(event), {})
    except NeedsEvaluation as needed:
        answer = await engine.evaluate(needed.need)
        if answer.error is not None:
            raise ConditionError(answer.error) from None
        found = answer.value
    except ExpressionError as error:
        raise ConditionError(str(error)) from error
    return found is not None and found is not False
