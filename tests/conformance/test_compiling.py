"""Whatever the rules accept can be compiled: an engine never meets a document it cannot read."""

from __future__ import annotations

import json

import pytest

from flunq.core.document.compiler import compile_workflow
from flunq.core.reading import check_document
from tests.conformance.cases import all_cases
from tests.conformance.laboratory import whole
from tests.support.mutations import Mutator

MUTANTS_PER_SEED = 600


@pytest.mark.parametrize("seed", range(4))
def test_mutants_without_problems_are_compiled(seed: int) -> None:
    mutator = Mutator(seed, [whole(case.members) for case in all_cases() if not case.invalid])
    accepted = 0
    for _ in range(MUTANTS_PER_SEED):
        text = json.dumps(mutator.mutant())
        if not check_document(text, name="mutant.json"):
            accepted += 1
            compile_workflow(json.loads(text), "0" * 64)
    assert 0 < accepted < MUTANTS_PER_SEED
