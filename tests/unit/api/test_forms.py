from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from flunq.api.approval_page import error_page, form_page, thanks_page
from flunq.api.forms import data_of, field_html, fields_of, read_form
from flunq.api.problems import InvalidFieldError
from flunq.client.approvals import Approval
from flunq.errors import NotFoundError, RejectedError

EVIL = "\"><script>alert('x')</script>"
FORM: dict[str, Any] = {
    "type": "object",
    "required": ["limit"],
    "properties": {
        "limit": {"type": "integer", "title": "Limit", "minimum": 1, "maximum": 9},
        "rate": {"type": "number", "default": 0.5},
        "kind": {"enum": ["a", 2]},
        "tags": {"type": "array", "items": {"enum": ["x", "y"]}, "default": ["y"]},
        "note": {"type": "string", "maxLength": 500, "description": "why"},
        "day": {"type": "string", "format": "date"},
        "urgent": {"type": "boolean"},
        "extra": {"type": "object"},
    },
}


def approval(form: dict[str, Any] | None = FORM, **more: str) -> Approval:
    known: dict[str, Any] = {
        "execution": "p1",
        "task": "/do/0/ask",
        "workflow": "tests/pay",
        "title": "Pay",
    }
    return Approval(**{**known, **more}, form=form)


def filled(**members: Any) -> dict[str, list[str]]:
    return read_form(urlencode({f"data.{k}": v for k, v in members.items()}, doseq=True).encode())


def test_what_was_filled_in_is_json_of_the_kinds_that_the_form_names() -> None:
    given = filled(
        limit="5", rate="1.5", kind='"a"', tags=['"x"', '"y"'], note="a\r\nb", urgent="true",
        extra='{"k": [1]}', day="2026-02-03", unasked="1",
    )  # fmt: skip
    assert data_of(FORM, given) == {
        "limit": 5, "rate": 1.5, "kind": "a", "tags": ["x", "y"], "note": "a\nb", "urgent": True,
        "extra": {"k": [1]}, "day": "2026-02-03",
    }  # fmt: skip


def test_what_is_empty_is_left_out_and_what_is_wrong_stays_for_the_schema_to_refuse() -> None:
    assert data_of(FORM, filled(limit="", note="")) == {"urgent": False}
    assert data_of(FORM, filled(limit="much"))["limit"] == "much"
    assert data_of(None, filled(limit="5")) == {}


@pytest.mark.parametrize("form", [None, {}, {"properties": 3}, {"properties": {"a": 1}}])
def test_an_odd_schema_asks_for_what_it_can(form: dict[str, Any] | None) -> None:
    assert [field.name for field in fields_of(form)] == (["a"] if form and "a" in str(form) else [])
    assert form_page(approval(form), given={}).status == 200


@pytest.mark.parametrize("body", [b"\xff=\xff", b"a=1&" * 300, b"%ff=1"])
def test_what_is_no_form_is_an_error_of_whoever_sent_it(body: bytes) -> None:
    with pytest.raises(InvalidFieldError):
        read_form(body)


def test_a_pattern_may_fit_a_part_of_the_text_in_a_browser_too() -> None:
    [field] = fields_of({"properties": {"number": {"type": "string", "pattern": '^INV-"?'}}})
    assert 'pattern=".*(?:^INV-&quot;?).*"' in field_html(field, {})


def test_what_is_nested_too_deeply_is_a_text() -> None:
    deep = "[" * 100_000
    assert data_of(FORM, filled(extra=deep))["extra"] == deep


def test_every_field_has_a_label_and_the_limits_of_the_schema() -> None:
    page = form_page(approval(), given={}).body.decode()
    for name in ("limit", "rate", "kind", "note", "day", "urgent", "extra"):
        assert f'<label for="data.{name}">' in page
        assert f'id="data.{name}"' in page
    assert "<fieldset><legend>tags</legend>" in page
    assert 'type="number" id="data.limit" name="data.limit" required min="1" max="9"' in page
    assert (
        'value="0.5"' in page and 'type="date"' in page and 'aria-describedby="help-note"' in page
    )
    assert 'name="approved" value="true"' in page and 'value="false" formnovalidate' in page


def test_what_was_filled_in_is_still_there_when_something_is_wrong() -> None:
    given = filled(limit="77", kind="2", tags=['"x"'], note="why", urgent="true")
    error = RejectedError("77 is too much")
    page = form_page(approval(), given=given, error=error)
    text = page.body.decode()
    assert (page.status, 'role="alert">77 is too much' in text) == (422, True)
    assert 'value="77"' in text and '<option value="2" selected>' in text and ">why</text" in text
    assert text.count("checked") == 2


@pytest.mark.parametrize("where", ["title", "who", "workflow", "label", "name", "given", "error"])
def test_nothing_that_others_wrote_becomes_markup(where: str) -> None:
    schema = {"type": "string", "title": EVIL if where == "label" else "t", "description": EVIL}
    form = {"properties": {EVIL if where == "name" else "a": schema, "c": {"enum": [EVIL]}}}
    texts = {where: EVIL} if where in ("title", "who", "workflow") else {}
    given = {"data.a": [EVIL], "by": [EVIL]} if where == "given" else {}
    error = RejectedError(EVIL) if where == "error" else None
    page = form_page(approval(form, **texts), given=given, error=error)
    assert b"<script" not in page.body
    assert b"<script" not in thanks_page(approval(form, **texts), approved=True).body
    assert b"<script" not in error_page(NotFoundError(EVIL)).body


def test_a_page_runs_nothing_loads_nothing_and_tells_nobody_its_address() -> None:
    page = form_page(approval(), given={})
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert b"http" not in page.body and b"src=" not in page.body


def test_a_box_that_was_unticked_stays_so_when_the_form_is_shown_again() -> None:
    ticked = {"notify": {"type": "boolean", "default": True}}
    chosen = {"tags": {"type": "array", "items": {"enum": ["x"]}, "default": ["x"]}}
    asks = approval({"type": "object", "properties": {**ticked, **chosen}})
    first = form_page(asks, given={}).body.decode()
    again = form_page(asks, given={"approved": ["true"], "by": [""]}).body.decode()
    assert (first.count("checked"), again.count("checked")) == (2, 0)
