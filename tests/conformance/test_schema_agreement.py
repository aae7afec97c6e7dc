"""Our schema of the language accepts and rejects what the official one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from flunq.core.reading import check_document, read_source
from flunq.resources import load_schema
from tests.conformance.cases import all_cases
from tests.conformance.laboratory import whole
from tests.support.mutations import Mutator
from tests.support.specification import SPECIFICATION

OUR_DOCUMENTS = Path(__file__).parents[1] / "unit" / "core" / "reading" / "documents"
OFFICIAL = SPECIFICATION / "schema" / "workflow.yaml"
MUTANTS_PER_SEED = 250

pytestmark = pytest.mark.specification


@pytest.fixture(scope="module")
def documents() -> list[Any]:
    files = sorted((SPECIFICATION / "examples").glob("*.yaml"))
    assert len(files) > 50
    files += sorted(OUR_DOCUMENTS.iterdir())
    return [read_source(file.read_bytes(), name=file.name).value for file in files]


@pytest.fixture(scope="module")
def official() -> Any:
    schema = read_source(OFFICIAL.read_bytes(), name="workflow.yaml").value
    return jsonschema_rs.validator_for(schema, validate_formats=True)


@pytest.fixture(scope="module")
def ours() -> Any:
    return jsonschema_rs.validator_for(load_schema("workflow"), validate_formats=True)


def test_every_example_is_accepted_by_both(documents: list[Any], official: Any, ours: Any) -> None:
    assert [document for document in documents if not official.is_valid(document)] == []
    assert [document for document in documents if not ours.is_valid(document)] == []


def test_no_official_example_breaks_a_semantic_rule() -> None:
    for file in (SPECIFICATION / "examples").glob("*.yaml"):
        assert check_document(file.read_bytes(), name=file.name) == []


def test_the_cases_of_the_suite_get_the_same_verdict(official: Any, ours: Any) -> None:
    documents = [whole(each) for case in all_cases() for each in (case.members, *case.workflows)]
    verdicts = [official.is_valid(document) for document in documents]
    assert 50 < verdicts.count(False) < len(verdicts) / 2
    assert [ours.is_valid(document) for document in documents] == verdicts


@pytest.mark.parametrize("seed", range(20))
def test_mutated_documents_get_the_same_verdict(
    seed: int, documents: list[Any], official: Any, ours: Any
) -> None:
    agree_on_mutants(Mutator(seed, documents), official, ours)


@pytest.mark.parametrize("seed", range(100, 110))
def test_mutated_cases_get_the_same_verdict(seed: int, official: Any, ours: Any) -> None:
    documents = [whole(case.members) for case in all_cases() if not case.invalid]
    agree_on_mutants(Mutator(seed, documents), official, ours)


def agree_on_mutants(mutator: Mutator, official: Any, ours: Any) -> None:
    rejected = 0
    for _ in range(MUTANTS_PER_SEED):
        mutant = mutator.mutant()
        verdict = official.is_valid(mutant)
        rejected += not verdict
        assert ours.is_valid(mutant) is verdict, repr(mutant)[:2_000]
    assert 0 < rejected < MUTANTS_PER_SEED
