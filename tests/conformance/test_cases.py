"""Every case of the suite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jq  # type: ignore[import-not-found]
import msgspec
import pytest

from flunq.core.reading import check_value
from tests.conformance.cases import Case, all_cases
from tests.conformance.laboratory import Laboratory, observed, standard, whole
from tests.conformance.world import World
from tests.support.schedules import Keeper

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(30)


def cases(*kinds: str) -> list[Any]:
    chosen = [case for case in all_cases() if kind_of(case) in kinds]
    return [
        pytest.param(case, id=f"{case.file[:-5]}: {case.case}", marks=marks_of(case))
        for case in chosen
    ]


def marks_of(case: Case) -> list[pytest.MarkDecorator]:
    """A tool that a case needs is a marker of its test."""
    return [getattr(pytest.mark, case.needs)] if case.needs else []


def kind_of(case: Case) -> str:
    if case.schedule is not None:
        return "schedule"
    return "document" if case.valid or case.invalid else "execution"


@pytest.mark.parametrize("case", cases("document"))
def test_a_document_is_accepted_or_rejected(case: Case) -> None:
    rules = {problem.rule for problem in check_value(whole(case.members))}
    assert (case.invalid in rules) if case.invalid else (rules == set()), rules


@pytest.mark.parametrize("case", cases("execution"))
async def test_an_execution_goes_as_the_language_says(case: Case, tmp_path: Path) -> None:
    found = await carried_out(case, tmp_path)
    if case.output is not msgspec.UNSET:
        assert (found["status"], found["output"]) == ("completed", case.output), found["error"]
    if case.error is not None:
        assert found["status"] == "faulted", found["output"]
        assert {name: found["error"].get(name) for name in case.error} == expected(case.error)
    for condition in case.checks:
        assert jq.compile(condition).input_value(found).first() is True, (condition, found)


async def carried_out(case: Case, folder: Path) -> Any:
    mentions = repr((case.members, case.workflows))
    async with World(mentions, folder) as world:
        others = world.real(case.workflows)
        laboratory = Laboratory(world, world.real(case.secrets), others)
        document = world.real(whole(case.members))
        execution = await laboratory.run(document, world.real(case.input), case.steps)
        return world.symbolic(observed(execution, laboratory, world))


def expected(error: dict[str, Any]) -> dict[str, Any]:
    return {**error, "type": standard(error["type"])} if "type" in error else error


@pytest.mark.parametrize("case", cases("schedule"))
def test_a_schedule_starts_what_it_should(case: Case) -> None:
    assert check_value(whole({"do": [], "schedule": case.schedule})) == []
    keeper = Keeper(msgspec.json.encode(case.schedule).decode())
    fires = []
    for moment in case.clock:
        fires.append(keeper.tick(moment))
        keeper.settle()
    assert fires == case.fires
    assert [keeper.hear(**event) for event in case.hears] == case.starts


def test_every_case_expects_something() -> None:
    empty = [
        case.case
        for case in all_cases()
        if case.output is msgspec.UNSET
        and not (case.error or case.checks or case.valid or case.invalid or case.schedule)
    ]
    assert empty == []


def test_no_two_cases_have_the_same_name() -> None:
    names = [f"{case.file}: {case.case}" for case in all_cases()]
    assert sorted(names) == sorted(set(names))
