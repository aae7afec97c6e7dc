from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flunq.errors import UsageError
from flunq.services.executor.hosting import load_executors

if TYPE_CHECKING:
    from pathlib import Path


def test_plugins_and_functions_are_hosted_together(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import flunq\n@flunq.function('hosting-test')\ndef work(): ...\n")
    kinds = {kind for executor in load_executors([str(path)]) for kind in executor.kinds}
    assert {"http", "function:hosting-test"} <= kinds


def test_functions_that_cannot_be_loaded_are_the_users_mistake() -> None:
    with pytest.raises(UsageError, match="no_such_functions"):
        load_executors(["no_such_functions"])
