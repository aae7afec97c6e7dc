from __future__ import annotations

import pytest

from flunq.api.negotiation import check_content_type, preferred
from flunq.api.problems import MediaTypeError, NotAcceptableError

OFFERED = ("application/json", "text/csv")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", "application/json"),
        ("text/*", "text/csv"),
        ("text/csv;q=0.9, application/json;q=0.1", "text/csv"),
        ("application/json;q=0, */*", "text/csv"),
        ("TEXT/CSV", "text/csv"),
        ("nonsense, text/csv;q=2", "text/csv"),
    ],
)
def test_the_best_offer_is_made(accept: str, chosen: str) -> None:
    assert preferred(accept, OFFERED) == chosen


@pytest.mark.parametrize("accept", ["image/png", "text/csv;q=0", "text/csv;q=nan", ""])
def test_what_nobody_offers_is_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptableError):
        preferred(accept, OFFERED)


def test_a_body_has_a_type_that_is_taken() -> None:
    check_content_type("Application/JSON; charset=utf-8", OFFERED)
    check_content_type(None, OFFERED)
    with pytest.raises(MediaTypeError) as caught:
        check_content_type("text/xml", OFFERED)
    assert caught.value.details["accepted"] == list(OFFERED)
