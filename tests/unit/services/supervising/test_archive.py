from __future__ import annotations

import pytest

from flunq.services.diagnosis.cluster import check_archives
from flunq.services.historian.status import shown
from flunq.services.supervising.archive import ArchiveState, archive_line, parse_archives
from flunq.store.lake import LakeFile, Manifest
from flunq.telemetry.metrics import registry


class Seen:
    """A historian at one moment."""

    problem = ""
    read = 12
    manifest = Manifest(
        tenant="shop",
        through=10,
        files=[
            LakeFile(
                path="a",
                rows=30,
                bytes=900,
                first_seq=1,
                last_seq=9,
                day="d",
                first_execution="a",
                last_execution="b",
            )
        ],
    )

    def oldest(self) -> float | None:
        return None


def state(**members: object) -> ArchiveState:
    (found,) = [each for each in parse_archives(registry.exposition()) if each.tenant == "shop"]
    return found


def test_what_the_historian_measures_is_read_back() -> None:
    with shown("shop", Seen()):
        found = state()
    assert found == ArchiveState(
        tenant="shop",
        state="following",
        through=10,
        behind=2,
        behind_seconds=0.0,
        files=1,
        rows=30,
        bytes=900,
    )
    assert archive_line([found]) == "shop: following, 30 events, 2 commits to come"


def test_of_an_archive_that_is_not_kept_any_more_nothing_is_told() -> None:
    with shown("shop", Seen()), shown("home", Seen()):
        pass
    assert parse_archives(registry.exposition()) == []


def test_a_problem_is_seen() -> None:
    seen = Seen()
    seen.problem = "no space left"
    with shown("shop", seen):
        found = state()
    assert found.state == "blocked"
    (check,) = check_archives([found])
    assert (check.status, check.remedy) == ("fail", "flunq lake status says why")


def test_an_archive_that_nobody_could_be_asked_about_is_not_called_missing() -> None:
    assert archive_line(None) == "not known: the API does not answer"
    (check,) = check_archives(None)
    assert (check.status, check.remedy) == ("warn", "flunq logs control")


@pytest.mark.parametrize("text", ["", "# HELP x\nflunq_up 1\n"])
def test_without_a_historian_there_is_nothing_to_tell(text: str) -> None:
    assert parse_archives(text) == []
    assert archive_line([]) == "no historian runs here"
    (check,) = check_archives([])
    assert check.status == "warn"
