"""Why an execution stands where it stands, as lines: what holds it, since when, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.ids import split_timer
from flunq_tui.model.folding import compact
from flunq_tui.model.formats import age, duration, task_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flunq.client.reasons import LastError, Why
    from flunq.core.execution.near import NearMiss
    from flunq.core.protocol import Details
    from flunq_tui.widgets.json_pane import Plain

    Say = Callable[..., str]

_SHORT = 60


def why_lines(details: Details, why: Why | None, now: int, say: Say) -> list[Plain]:
    """Return what there is to say; without an explanation, what the execution itself tells."""
    status = say(f"status.{details.status}")
    since = duration((details.ended_at or now) - details.started_at)
    name = f"{details.namespace}/{details.workflow}:{details.version}"
    lines: list[Plain] = [((f"{status}  {since}  ", "title"), (name, "dim"))]
    if why is not None:
        return [*lines, *_explained(why, now, say)]
    lines += [_waiting_line(each, now, say) for each in details.waiting]
    failure = details.failure
    if failure is not None:
        lines.append(((f"{failure.title or failure.type} ({failure.status})", "bad"),))
        lines += [((text, ""),) for text in (failure.detail, failure.instance) if text]
    return [*lines, (("", ""),), *(((f"$ {each}", "accent"),) for each in _next(details))]


def _explained(why: Why, now: int, say: Say) -> Iterator[Plain]:
    if not why.causes or why.causes[0].text != why.headline:
        yield ((why.headline, "title"),)
    for cause in why.causes:
        moment = cause.due or cause.since
        yield ((f"  {cause.kind}: ", "key"), (cause.text, ""), (f"  {age(moment, now)}", "dim"))
        if cause.act:
            yield ((f"    {say('why.act')} {cause.act}", "dim"),)
        for miss in cause.near:
            yield from _near(miss, say)
    if why.error is not None:
        yield (("", ""),)
    errors = why.errors or ([why.error] if why.error is not None else [])
    # The end of the execution tells again what its task told.
    yield from dict.fromkeys(_error(error, now) for error in errors)
    if why.letters:
        yield ((f"{say('why.letters')} {', '.join(why.letters)}", "warn"),)
    if why.command:
        yield (("", ""),)
        yield ((f"$ {why.command}", "accent"),)


def _near(miss: NearMiss, say: Say) -> Iterator[Plain]:
    yield ((f"    {say('why.near')} {miss.type} {miss.id}", "warn"),)
    for part in miss.failed:
        wanted, found = compact(part.wanted, _SHORT), compact(part.found, _SHORT)
        yield ((f"      {part.name}: ", "key"), (f"{wanted} ≠ {found}", "bad"))


def _error(error: LastError, now: int) -> Plain:
    status = f" ({error.status})" if error.status is not None else ""
    line = f":{error.line}" if error.line is not None else ""
    return (
        (f"{error.title or error.type.rpartition('/')[2]}{status} ", "bad"),
        (f"{error.detail} ", ""),
        (f"{task_name(error.task)}{line} #{error.attempt} {age(error.at, now)}", "dim"),
    )


def _waiting_line(each: Mapping[str, Any], now: int, say: Say) -> Plain:
    task = task_name(str(each.get("task", "")))
    kind = str(each.get("kind", each.get("for", "")))
    if "due" in each:
        known = {"w": "wait", "r": "retry"}.get(split_timer(each["timer"])[1], "timeout")
        text = f"{say(f'waiting.{known}')} {age(each['due'], now)}"
    elif each.get("for") == "event":
        text = say("waiting.listen")
    elif each.get("node") in ("", "queue"):
        text = say("why.queue", kind=kind)
    else:
        text = say("why.node", kind=kind, node=each.get("node"))
    return ((f"  {task}: ", "key"), (text, ""))


def _next(details: Details) -> list[str]:
    waits_for_event = any(each.get("for") == "event" for each in details.waiting)
    commands = [f"flunq history {details.id}"]
    if details.status == "suspended":
        commands.append(f"flunq resume {details.id}")
    if details.status in ("faulted", "quarantined"):
        commands.append(f"flunq retry {details.id}")
    if waits_for_event:
        commands.append("flunq emit TYPE --data JSON")
    return commands
