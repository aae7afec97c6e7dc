"""``flunq certs`` on a narrow terminal."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from flunq.cli.commands.certs import init, issue, list_

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_hosts_of_a_certificate_are_whole_and_files_give_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    init(folder=tmp_path)
    issue("api", host=["api.shop.example"], folder=tmp_path)
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((100, 24)))
    list_(folder=tmp_path)
    heading, *lines = screen.getvalue().splitlines()
    (line,) = [each for each in lines if each.startswith("api")]
    assert "127.0.0.1, " in line
    assert "api.shop.example" in line
    assert ("FILE" in heading, "[" in line) == (False, False)
