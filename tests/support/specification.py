"""Where a copy of the official schema and its examples is; they are no part of this project."""

from __future__ import annotations

import os
from pathlib import Path

SPECIFICATION = Path(
    os.environ.get("FLUNQ_SPEC_DIR", Path(__file__).parents[3] / "shared" / "spec")
)
