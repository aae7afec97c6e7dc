"""JSON pointers (RFC 6901): joining and splitting."""

from __future__ import annotations


def escape(token: str | int) -> str:
    """Return one token as it is written in a pointer."""
    return token.replace("~", "~0").replace("/", "~1") if isinstance(token, str) else str(token)


def child(pointer: str, token: str | int) -> str:
    """Return the pointer to a member or an item of what ``pointer`` names."""
    return f"{pointer}/{escape(token)}"


def join(tokens: list[str | int]) -> str:
    """Return the pointer made of ``tokens``."""
    return "".join(f"/{escape(token)}" for token in tokens)


def split(pointer: str) -> list[str]:
    """Return the unescaped tokens of a pointer."""
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
