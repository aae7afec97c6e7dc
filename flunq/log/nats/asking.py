"""How a request says who sent it: by the inbox that waits for the answer, and by headers."""

from __future__ import annotations

from flunq.core.tenancy import TENANT_USERS
from flunq.log.nats.jetstream import parse_headers
from flunq.log.ports import BY_HEADER, Asker

PROOF_HEADER = "Flunq-Proof"
INBOX = "_INBOX_"
_LONGEST = 128


def asker_of(subject: str, reply: str, headers: bytes) -> Asker:
    """Return who asks; only a user's own connections hear what is sent below its inbox."""
    user = _user_of(reply)
    if not headers:
        return Asker(user, subject=subject)
    said = parse_headers(headers)
    return Asker(user, said.get(BY_HEADER, ""), said.get(PROOF_HEADER, ""), subject)


def _user_of(reply: str) -> str:
    if not reply.startswith(INBOX):
        return ""
    first, _, rest = reply.removeprefix(INBOX).partition(".")
    # The users of tenants have a name of two parts.
    return f"{first}.{rest.partition('.')[0]}" if first == TENANT_USERS else first


def introduction(claim: str, proof: str) -> bytes:
    """Return the header block that requests carry; empty when there is nothing to say."""
    said = {BY_HEADER: claim, PROOF_HEADER: proof}
    lines = [f"{name}: {_plain(text)}\r\n" for name, text in said.items() if text]
    return f"NATS/1.0\r\n{''.join(lines)}\r\n".encode() if lines else b""


def signed_input(block: bytes, user: str | None, claim: str) -> bytes:
    """Add to a header block who stores an input; nobody waits for an answer to that."""
    said = _plain(f"{user or ''} {claim}".strip())
    return block[:-2] + f"{BY_HEADER}: {said}\r\n\r\n".encode() if said else block


def _plain(text: str) -> str:
    """Leave nothing that could end a header."""
    return "".join(each if " " <= each <= "~" else "?" for each in text)[:_LONGEST]
