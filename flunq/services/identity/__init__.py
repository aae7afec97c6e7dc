"""Who may come in, and who did what: tokens, the gate of the API, limits, the audit."""

from __future__ import annotations

from flunq.services.identity.audit import Audit
from flunq.services.identity.gate import Gate
from flunq.services.identity.principal import (
    ForbiddenError,
    Principal,
    Role,
    TokenRefusedError,
    TooManyRequestsError,
)
from flunq.services.identity.service import Identity
from flunq.services.identity.settings import IdentitySettings, OidcSettings

__all__ = [
    "Audit",
    "ForbiddenError",
    "Gate",
    "Identity",
    "IdentitySettings",
    "OidcSettings",
    "Principal",
    "Role",
    "TokenRefusedError",
    "TooManyRequestsError",
]
