"""What the monitor says, by language. English is complete; a language may lack what it likes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flunq_tui.messages.english import TEXTS as ENGLISH
from flunq_tui.messages.german import TEXTS as GERMAN

if TYPE_CHECKING:
    from collections.abc import Mapping

LANGUAGES: dict[str, Mapping[str, str]] = {"en": ENGLISH, "de": GERMAN}


class Catalog:
    """The texts of one language, English where it has none."""

    def __init__(self, language: str = "en") -> None:
        self.language = language if language in LANGUAGES else "en"
        self._texts = {**ENGLISH, **LANGUAGES[self.language]}

    def __call__(self, message: str, **values: object) -> str:
        """Return a text with its values filled in."""
        text = self._texts[message]
        return text.format(**values) if values else text

    def has(self, message: str) -> bool:
        """Tell whether there is such a text."""
        return message in self._texts


def preferred_language() -> str:
    """Return the language that the environment asks for."""
    for name in ("FLUNQ_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return value[:2].lower()
    return "en"
