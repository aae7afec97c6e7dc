"""What is coloured reaches a terminal as colour, what is data never does."""

from __future__ import annotations

import pytest

from flunq.cli import output, session
from flunq.cli.rendering.diff import comparison_lines
from flunq.cli.rendering.graph import graph_lines
from flunq.cli.rendering.why import why_lines
from flunq.cli.session import ColorMode
from flunq.client.diffing import Comparison
from flunq.client.reasons import Cause, Why

SCREAM = "\x1b]0;owned\x07"
DOCUMENT = {
    "document": {"dsl": "1.0.3", "namespace": "shop", "name": "order", "version": f"1.0.0{SCREAM}"},
    "do": [{f"greet{SCREAM}": {"set": {"a": 1}}}],
}


@pytest.fixture(autouse=True)
def colours() -> None:
    session.update(color=ColorMode.ALWAYS)


def written(capsys: pytest.CaptureFixture[str], lines: object) -> str:
    output.emit({}, lines=lines)  # type: ignore[arg-type]
    shown = capsys.readouterr().out
    assert "\x1b]" not in shown
    assert "\\e[" not in shown
    return shown


def test_the_tasks_of_a_graph_are_bold(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b[1mgreet\\e]0;owned\\x07\x1b[0m" in written(capsys, graph_lines(DOCUMENT))


def test_why_has_the_colour_of_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    cause = Cause(kind="suspended", text=f"it is suspended: {SCREAM}", act=f"you{SCREAM}")
    why = Why(
        id="order-1",
        workflow="shop/order:1.0.0",
        status="suspended",
        headline=cause.text,
        since=None,
        causes=[cause],
        command=f"flunq resume {SCREAM}",
    )
    shown = written(capsys, why_lines(why))
    assert "\x1b[33msuspended\x1b[0m" in shown
    assert "next: \x1b[1mflunq resume \\e]0;owned\\x07\x1b[0m" in shown


def test_the_sides_of_a_comparison_have_colours(capsys: pytest.CaptureFixture[str]) -> None:
    found = Comparison(
        ids=("a", f"b{SCREAM}"),
        workflows=("shop/order:1.0.0", "shop/order:1.0.0"),
        status=("completed", "faulted"),
        duration_ms=(1500.0, 0.04),
        equal=False,
        input=[],
        output=[],
        error=[],
        first=None,
        tasks=[],
    )
    shown = written(capsys, comparison_lines(found))
    assert "completed  1.5s" in shown
    assert "faulted  <1ms" in shown
    assert shown.splitlines()[0].startswith("\x1b[31m- a")
    assert shown.splitlines()[1].startswith("\x1b[32m+ b\\e]0;")
