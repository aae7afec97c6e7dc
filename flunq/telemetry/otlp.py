"""Traces on the wire: the JSON of OTLP over HTTP, and the standard variables that configure it.

Collectors take this form beside the binary one, and it needs no library: those of OpenTelemetry
make spans of code that runs, with ids of their own, where these are made of what happened.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flunq.telemetry.spans import Span, SpanNote

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_PATH = "/v1/traces"
_FAILED = 2
_SECONDS = 10.0
_encode = msgspec.json.Encoder().encode


class TraceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where traces go to, and what they say of their origin."""

    endpoint: str
    """The whole address that batches are posted to."""
    headers: dict[str, str] = {}
    service: str = "flunq"
    resource: dict[str, str] = {}
    timeout: float = _SECONDS
    compress: bool = False

    def __repr__(self) -> str:
        """Headers carry keys."""
        return f"TraceSettings(endpoint={self.endpoint!r}, service={self.service!r})"


def trace_settings(environ: Mapping[str, str]) -> TraceSettings | None:
    """Read the standard variables; None when nobody wants traces. Raises UsageError."""
    endpoint = _option(environ, "ENDPOINT")
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if not endpoint or off or environ.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return None
    if not endpoint.startswith(("http://", "https://")):
        raise UsageError(
            f"{endpoint!r} is no address of a collector", hint="such as http://127.0.0.1:4318"
        )
    if not environ.get(TRACES_ENDPOINT):
        endpoint = endpoint.rstrip("/") + _PATH
    resource = _pairs("OTEL_RESOURCE_ATTRIBUTES", environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    service = environ.get("OTEL_SERVICE_NAME") or resource.pop("service.name", "flunq")
    return TraceSettings(
        endpoint=endpoint,
        headers=_pairs("OTEL_EXPORTER_OTLP_HEADERS", _option(environ, "HEADERS")),
        service=service,
        resource=resource,
        timeout=_milliseconds(_option(environ, "TIMEOUT")),
        compress=_option(environ, "COMPRESSION") == "gzip",
    )


def _option(environ: Mapping[str, str], name: str) -> str:
    special = environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}")
    return special or environ.get(f"OTEL_EXPORTER_OTLP_{name}", "")


def _pairs(variable: str, text: str) -> dict[str, str]:
    pairs = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{variable} is a list of name=value, separated by commas")
        pairs[unquote(name.strip())] = unquote(value.strip())
    return pairs


def _milliseconds(text: str) -> float:
    if not text:
        return _SECONDS
    if not text.isdecimal() or not int(text):
        raise UsageError(f"{text!r} is no time limit", hint="OTEL_EXPORTER_OTLP_TIMEOUT=10000")
    return int(text) / 1_000


def request_body(settings: TraceSettings, spans: Iterable[Span], *, version: str) -> bytes:
    """Return the body of the request that delivers a batch."""
    about = {"service.name": settings.service, "service.version": version, **settings.resource}
    scope = {"name": "flunq", "version": version}
    scoped = {"scope": scope, "spans": [_span(span) for span in spans]}
    resource = {"attributes": _attributes(about)}
    body = _encode({"resourceSpans": [{"resource": resource, "scopeSpans": [scoped]}]})
    return gzip.compress(body, compresslevel=1) if settings.compress else body


def request_headers(settings: TraceSettings) -> dict[str, str]:
    """Return the headers of such a request, with names in lower case."""
    given = {name.lower(): value for name, value in settings.headers.items()}
    coding = {"content-encoding": "gzip"} if settings.compress else {}
    return {**given, **coding, "content-type": "application/json", "user-agent": "flunq"}


def _span(span: Span) -> dict[str, Any]:
    body: dict[str, Any] = {
        "traceId": span.trace,
        "spanId": span.span,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": _nanos(span.start),
        "endTimeUnixNano": _nanos(span.end),
        "attributes": _attributes(span.attributes),
    }
    if span.parent:
        body["parentSpanId"] = span.parent
    if span.notes:
        body["events"] = [_note(note) for note in span.notes]
    if span.error is not None:
        body["status"] = {"code": _FAILED, "message": span.error}
    return body


def _note(note: SpanNote) -> dict[str, Any]:
    attributes = _attributes(note.attributes)
    return {"name": note.name, "timeUnixNano": _nanos(note.time), "attributes": attributes}


def _nanos(time: int) -> str:
    """64-bit integers are texts in this format."""
    return str(time * 1_000)


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"stringValue": str(value)}
