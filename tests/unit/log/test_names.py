from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flunq.log.nats.names import (
    Names,
    key_to_subject,
    partition_of_subject,
    stream_token,
    subject_to_key,
)


def test_streams_and_subjects_of_the_first_tenant() -> None:
    names = Names("default")
    assert names.journal_stream == "FLUNQ_DEFAULT_JOURNAL"
    assert names.journal(3) == "flunq.journal.default.3"
    assert names.task("http", "order-1") == "flunq.tasks.default.http.order-1"
    assert names.event("ext", "order.placed") == "flunq.evt.default.ext.order=2Eplaced"


@pytest.mark.parametrize("odd", ["*", ">", "a.b", "a b", "ä"])
def test_odd_names_stay_one_literal_token(odd: str) -> None:
    subject = Names("t").task(odd, odd)
    assert subject.count(".") == 4
    assert not set(subject) & set("*> ä")


@given(st.lists(st.text(alphabet="abAB_-.=é", min_size=1, max_size=4), unique=True, max_size=20))
def test_different_tenants_have_different_streams(tenants: list[str]) -> None:
    tokens = {stream_token(tenant) for tenant in tenants}
    assert len(tokens) == len(tenants)
    assert len({token.upper() for token in tokens}) == len(tenants)


@given(st.text(max_size=30))
def test_keys_survive_the_way_through_a_subject(key: str) -> None:
    try:
        key.encode()
    except UnicodeEncodeError:
        return
    subject = key_to_subject(key)
    assert all(subject.split("."))
    assert subject_to_key(subject) == key


def test_very_long_event_types_are_told_apart() -> None:
    one, two = (Names("t").event("ext", "x." * 500 + end) for end in "ab")
    assert one != two
    assert len(one) < 300


def test_very_long_kinds_are_told_apart_and_found_by_their_pattern() -> None:
    names = Names("t")
    one, two = (names.task("call:" + "x." * 2_000 + end, "e") for end in "ab")
    assert one != two
    assert len(one) < 300
    assert names.tasks_of_kind("call:" + "x." * 2_000 + "a") == one.removesuffix("e") + "*"


@pytest.mark.parametrize(
    ("subject", "partition"),
    [
        ("flunq.journal.t.7", 7),
        ("flunq.inbox.t.12.ext", 12),
        ("flunq.inbox.t", -1),
        ("flunq.evt.t.ext.5", -1),
        ("$KV.flunq_state.3", -1),
        ("flunq.journal.t.x", -1),
    ],
)
def test_only_partitioned_subjects_have_a_partition(subject: str, partition: int) -> None:
    assert partition_of_subject(subject) == partition
