"""Errors that only the way in over HTTP knows, and how every error looks there (RFC 9457)."""

from __future__ import annotations

import re

import msgspec

from flunq.api.contract import PROBLEM, Reply
from flunq.errors import FlunqError, InternalError, NotFoundError, UnavailableError, UsageError
from flunq.log.ports import OutcomeUnknownError, StoreFullError, TransportLostError

RETRY_SECONDS = 1
_BYTE = re.compile(r"\(byte (\d+)\)")
_PATH = re.compile(r" - at `([^`]*)`")
_UNAVAILABLE = (OutcomeUnknownError, StoreFullError, TransportLostError)


class UnknownPathError(NotFoundError):
    """No operation has this path."""

    code, title = "unknown-path", "No such path"


class MethodError(FlunqError):
    """The path exists, the method does not."""

    code, title, status = "method-not-allowed", "Method not allowed", 405


class NotAcceptableError(FlunqError):
    """None of the media types that the caller accepts can be made."""

    code, title, status = "not-acceptable", "Not acceptable", 406


class FramingError(UsageError):
    """Where the body ends is told in two ways; what follows it is not trusted."""


class SlowRequestError(FlunqError):
    """The body did not arrive in time."""

    code, title, status = "request-timeout", "The request took too long", 408


class TooLargeError(FlunqError):
    """The body is larger than this server takes."""

    code, title, status = "too-large", "The body is too large", 413


class LongAddressError(FlunqError):
    """The path or the query is longer than this server takes."""

    code, title, status = "address-too-long", "The address is too long", 414


class MediaTypeError(FlunqError):
    """The body has a media type that the operation does not take."""

    code, title, status = "unsupported-media-type", "Unsupported media type", 415


class InvalidFieldError(FlunqError):
    """A member of the body, or a parameter, is not what it should be."""

    code, title, status = "invalid-field", "A field is wrong", 422


class LargeHeadersError(FlunqError):
    """The headers are larger than this server takes."""

    code, title, status = "headers-too-large", "The headers are too large", 431


class BusyError(FlunqError):
    """This process serves as many callers as it may."""

    code, title, status = "busy", "Too many callers", 503


_CLOSING = (FramingError, SlowRequestError, TooLargeError, LongAddressError, LargeHeadersError)


def problem_reply(error: FlunqError) -> Reply:
    """Return an error as RFC 9457 problem details."""
    headers: dict[str, str] = {"cache-control": "no-store"}
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers["retry-after"] = str(max(1, round(retry_after)))
    elif isinstance(error, (UnavailableError, BusyError)):
        headers["retry-after"] = str(RETRY_SECONDS)
    if error.status == 401:
        headers["www-authenticate"] = 'Bearer realm="flunq"'
    if isinstance(error, MethodError):
        headers["allow"] = ", ".join(error.details["allowed"])
    if isinstance(error, _CLOSING):
        headers["connection"] = "close"
    body = msgspec.json.encode(error.problem())
    return Reply(body=body, status=error.status, media=PROBLEM, headers=headers)


def as_flunq_error(error: Exception) -> FlunqError | None:
    """Return what the caller may know of an error; None for a defect."""
    if isinstance(error, FlunqError):
        return error
    if isinstance(error, _UNAVAILABLE):
        return UnavailableError("the cluster does not answer now", reason=str(error))
    return None


def internal_problem() -> Reply:
    """Return what is said of a defect: nothing that was not meant for the caller."""
    return problem_reply(InternalError("the request failed; the server's log says why"))


def invalid_field(error: msgspec.ValidationError, *, within: str = "$") -> InvalidFieldError:
    """Return the error for a value of the wrong shape, with the path to it."""
    text = str(error)
    found = _PATH.search(text)
    path = found.group(1) if found else "$"
    message = _PATH.sub("", text)
    return InvalidFieldError(message, path=path.replace("$", within, 1))


def _first_undecodable(body: bytes) -> int:
    """Return where a body stops being UTF-8; a reader of JSON counts within one text."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def malformed(error: Exception, body: bytes) -> FlunqError:
    """Return the error for a body that is not JSON at all, with the position of the damage."""
    if isinstance(error, RecursionError):
        return UsageError("the body is nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return UsageError("the body is not UTF-8", byte=_first_undecodable(body))
    found = _BYTE.search(str(error))
    position = int(found.group(1)) if found else len(body)
    return UsageError(f"the body is not valid JSON: {error}", byte=position)
