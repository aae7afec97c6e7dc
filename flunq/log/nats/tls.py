"""TLS to the broker: always verified, against the named authority or the system's."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Any

from flunq.errors import UsageError

if TYPE_CHECKING:
    from flunq.log.select import StreamSettings

CA_VARIABLE = "FLUNQ_CA"
SCHEMES = ("tls://", "wss://")


def tls_options(settings: StreamSettings) -> dict[str, Any]:
    """Return what a client needs; nothing when TLS was not asked for.

    A server that wants TLS gets it also where the address does not say so.
    """
    ca = settings.ca or os.environ.get(CA_VARIABLE)
    if ca is None and not settings.url.startswith(SCHEMES):
        return {}
    return {"tls": client_context(ca)}


def client_context(ca: str | None) -> ssl.SSLContext:
    """Return a context that verifies certificate and name; raises UsageError for a bad file."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"the certificates of the authority cannot be read: {error}",
            where=ca,
            hint="name the file with ca in the context, or FLUNQ_CA",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
