"""``flunq serve`` with a few settings of a node changed, which no option of a cluster reaches.

``FLUNQ_TEST_NODE`` (a JSON object) is laid over the settings that the supervisor wrote.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from flunq.cli.main import main

OVERLAY = "FLUNQ_TEST_NODE"


def overlay_settings() -> None:
    """Change the settings of this process."""
    path = Path(os.environ["FLUNQ_NODE_CONFIG"])
    settings = {**json.loads(path.read_bytes()), **json.loads(os.environ.get(OVERLAY, "{}"))}
    changed = path.with_suffix(".changed.json")
    changed.touch(0o600)
    changed.write_text(json.dumps(settings))
    os.environ["FLUNQ_NODE_CONFIG"] = str(changed)


if __name__ == "__main__":
    overlay_settings()
    sys.argv = ["flunq", "serve", *sys.argv[1:]]
    sys.exit(main())
