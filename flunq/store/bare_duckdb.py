"""DuckDB without the part of its package that is written in Python.

That part is for data frames and expressions, which nothing here uses, and takes three times as
long to import as the database itself: most of what a short query costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb
else:
    try:
        import _duckdb as duckdb
    except ImportError:  # a release that keeps the database elsewhere
        import duckdb

__all__ = ["duckdb"]
