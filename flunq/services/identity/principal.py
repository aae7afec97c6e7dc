"""Who asks: the principal behind a request, and why one is turned away."""

from __future__ import annotations

from typing import Literal

import msgspec

from flunq.errors import FlunqError

Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "operator", "admin")


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whose token was verified."""

    name: str
    tenant: str
    role: Role
    token_id: str

    def may(self, needed: Role) -> bool:
        """Tell whether the role includes another one."""
        return ROLES.index(self.role) >= ROLES.index(needed)


class TokenRefusedError(FlunqError):
    """The token is missing, damaged, expired, revoked or signed by somebody else."""

    code, title, status, exit_code = "token-refused", "The token is not accepted", 401, 6


class ForbiddenError(FlunqError):
    """The principal is known, but may not do this."""

    code, title, status, exit_code = "forbidden", "Not allowed", 403, 3


class TooManyRequestsError(FlunqError):
    """More requests than this principal or address may make."""

    code, title, status = "too-many-requests", "Too many requests", 429

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message, retry_after=round(retry_after, 3))
        self.retry_after = retry_after
        """Seconds after which another request would be taken."""
