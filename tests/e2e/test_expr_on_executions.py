"""``flunq expr --execution``: expressions on what an execution has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Flunq

pytestmark = pytest.mark.timeout(120)

DOCUMENT = """\
document: {dsl: 1.0.3, namespace: tests, name: sum, version: 1.0.0}
do:
  - keep: {set: {kept: '${ .n }'}, export: {as: '${ . }'}}
  - wait: {if: '${ .kept > 100 }', wait: {hours: 1}}
  - total: {set: {total: '${ .kept * 2 }'}}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as flunq:
        (flunq.home / "sum.yaml").write_text(DOCUMENT)
        assert flunq("apply", "sum.yaml").code == 0
        for name, number in (("done", 4), ("waiting", 400)):
            started = flunq("start", "sum", "--id", name, "-i", f'{{"n": {number}}}')
            assert started.code == 0, started.err
        assert flunq("wait", "done").code == 0
        yield flunq


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (".total", "8"),
        ("$input.n + $output.total", "12"),
        ("$context.kept", "4"),
        ("$workflow.input.n", "4"),
        ("$workflow.definition.document.name", '"sum"'),
        ("$workflow.id", '"done"'),
        ("$workflow.startedAt.epoch.seconds > 0", "true"),
    ],
)
def test_a_finished_execution_is_seen_at_its_end(
    cluster: Flunq, expression: str, value: str
) -> None:
    shown = cluster("expr", expression, "--execution", "done")
    assert shown.out == f"{value}\n", shown.err


def test_one_that_goes_on_is_seen_from_its_input(cluster: Flunq) -> None:
    assert cluster("expr", "[.n, $output]", "--execution", "wait", "-o", "json").json == [400, None]


def test_what_is_given_counts_more(cluster: Flunq) -> None:
    given = ("-i", '{"n": 1}', "--var", 'context={"kept": 2}')
    shown = cluster("expr", "[.n, $context.kept, $output.total]", "--execution", "done", *given)
    assert shown.out.split() == ["[", "1,", "2,", "8", "]"]


def test_an_execution_that_nobody_knows_is_not_found(cluster: Flunq) -> None:
    assert cluster("expr", ".", "--execution", "nobody").code == 4
