"""The variables that configure traces, and the form in which spans travel."""

from __future__ import annotations

import gzip
from typing import Any

import msgspec
import pytest

from flunq.errors import UsageError
from flunq.telemetry.otlp import TraceSettings, request_body, request_headers, trace_settings
from flunq.telemetry.spans import Span, SpanNote

COLLECTOR = "http://127.0.0.1:4318"
SPAN = Span(
    trace="ab" * 16,
    span="cd" * 8,
    name="pay",
    kind=3,
    start=1_000_000,
    end=1_500_000,
    attributes={"flunq.task.attempt": 2, "flunq.task": "/do/0/pay"},
    notes=[SpanNote(name="retry", time=1_200_000)],
    error="Teapot",
)


def body_of(settings: TraceSettings) -> Any:
    body = request_body(settings, [SPAN], version="1")
    return msgspec.json.decode(gzip.decompress(body) if settings.compress else body)


@pytest.mark.parametrize(
    "off", [{}, {"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}]
)
def test_nobody_wants_traces_without_a_collector(off: dict[str, str]) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR} if off else {}
    assert trace_settings({**endpoint, **off}) is None


def test_the_standard_variables_are_read() -> None:
    found = trace_settings(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"{COLLECTOR}/",
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b, x=1",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=other,deployment.environment=test",
            "OTEL_SERVICE_NAME": "orders",
        }
    )
    assert found is not None
    assert found.endpoint == f"{COLLECTOR}/v1/traces"
    assert found.headers == {"api-key": "a b", "x": "1"}
    assert (found.timeout, found.service) == (2.5, "orders")
    assert "a b" not in repr(found)


def test_an_address_for_traces_alone_is_taken_as_it_is() -> None:
    found = trace_settings({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{COLLECTOR}/mine"})
    assert found is not None
    assert found.endpoint == f"{COLLECTOR}/mine"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENDPOINT", "127.0.0.1:4318"),
        ("HEADERS", "no-value"),
        ("TIMEOUT", "soon"),
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, value: str) -> None:
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR, f"OTEL_EXPORTER_OTLP_{name}": value}
    with pytest.raises(UsageError):
        trace_settings(given)


def test_a_span_is_written_as_the_protocol_has_it() -> None:
    settings = TraceSettings(endpoint=COLLECTOR, service="orders", compress=True)
    resource = body_of(settings)["resourceSpans"][0]
    about = {each["key"]: each["value"] for each in resource["resource"]["attributes"]}
    assert about["service.name"] == {"stringValue": "orders"}
    span = resource["scopeSpans"][0]["spans"][0]
    assert (span["traceId"], span["spanId"]) == ("ab" * 16, "cd" * 8)
    assert (span["startTimeUnixNano"], span["endTimeUnixNano"]) == ("1000000000", "1500000000")
    assert span["attributes"][0]["value"] == {"intValue": "2"}
    assert span["status"] == {"code": 2, "message": "Teapot"}
    assert "parentSpanId" not in span
    assert request_headers(settings)["content-encoding"] == "gzip"
