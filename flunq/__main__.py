"""``python -m flunq`` is the same as the ``flunq`` command."""

from __future__ import annotations

from flunq.cli.main import main

if __name__ == "__main__":
    main()
