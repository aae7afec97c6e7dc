"""Completes tables, columns, keywords and dot commands."""

from __future__ import annotations

from flunq.cli.session import OutputFormat
from flunq.store.views import VIEWS

KEYWORDS = (
    "SELECT FROM WHERE GROUP BY ORDER LIMIT HAVING WITH AS JOIN LEFT ON USING AND OR NOT IN LIKE "
    "BETWEEN CASE WHEN THEN ELSE END DISTINCT UNION ALL EXCEPT INTERSECT DESC ASC NULLS LAST FIRST "
    "PIVOT UNPIVOT DESCRIBE SUMMARIZE EXPLAIN VALUES INTERVAL IS NULL TRUE FALSE FILTER OVER "
    "PARTITION QUALIFY"
).split()
FUNCTIONS = (
    "count( sum( avg( min( max( median( quantile_cont( date_trunc( now( epoch_ms( coalesce( "
    "json_extract( json_extract_string( any_value( arg_max( list( string_agg( round("
).split()
COMMANDS = (".help", ".tables", ".schema", ".mode", ".timer", ".export", ".quit")


class Completer:
    """Answers readline: the n-th word that begins so."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def complete(self, word: str, state: int) -> str | None:
        """Return candidate number ``state``, or None when there are no more."""
        if state == 0:
            self._found = candidates(word)
        return self._found[state] if state < len(self._found) else None


def candidates(word: str) -> list[str]:
    """Return what a word may become: tables and columns first."""
    if word.startswith("."):
        return [f"{name} " for name in COMMANDS if name.startswith(word)]
    table, dot, begun = word.rpartition(".")
    if dot:
        return [f"{table}.{name}" for name in _columns(table) if name.startswith(begun.lower())]
    columns = dict.fromkeys(column.name for view in VIEWS.values() for column in view.columns)
    names = [*VIEWS, *columns, *FUNCTIONS, *(str(form) for form in OutputFormat)]
    found = [name for name in names if name.startswith(word.lower())]
    upper = word.isupper()
    keywords = [each if upper else each.lower() for each in KEYWORDS]
    return list(dict.fromkeys([*found, *(each for each in keywords if each.startswith(word))]))


def _columns(table: str) -> list[str]:
    """Return the columns of a table; of an alias, which may be any, those of all."""
    view = VIEWS.get(table.lower())
    views = [view] if view else list(VIEWS.values())
    return list(dict.fromkeys(column.name for each in views for column in each.columns))
