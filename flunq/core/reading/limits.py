"""How much of a document is read before it is refused."""

from __future__ import annotations

MAX_BYTES = 4 * 1024 * 1024
MAX_INPUT_BYTES = 64 * 1024 * 1024
"""Inputs may be larger than documents, as JSON; positions are not kept for them."""
MAX_DEPTH = 100
MAX_VALUES = 150_000
"""Values and keys, those repeated by aliases included; a long text counts as several."""
TEXT_UNIT = 64
"""Characters of a text that count as one more value."""
MAX_KEY = 1_024
"""Characters of a key: keys are repeated in every pointer below them."""
MAX_DIGITS = 1_000
"""Digits of one number."""
MAX_PROBLEMS = 500
MAX_CANDIDATES = 200
"""Names among which the meant one is looked for."""
