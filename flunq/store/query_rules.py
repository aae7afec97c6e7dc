"""Which statements may run: exactly one that reads, over the views, without reaching for files.

DuckDB's own parser decides. This is the first of two walls, the one with the clear messages; the
second is the configuration of the connection, see :mod:`flunq.store.duck`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.errors import RejectedError
from flunq.store.views import VIEWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

READERS = "SELECT, WITH, FROM, VALUES, PIVOT, DESCRIBE, SHOW TABLES, SUMMARIZE or EXPLAIN"
TABLE_FUNCTIONS = frozenset(
    "range generate_series unnest json_each json_tree histogram histogram_values repeat "
    "repeat_row duckdb_columns duckdb_functions duckdb_keywords duckdb_types".split()
)
HIDDEN_FUNCTIONS = frozenset(
    "getenv current_setting getvariable write_log parse_duckdb_log_message json_serialize_sql "
    "json_deserialize_sql json_serialize_plan json_execute_serialized_sql nextval currval "
    "read_blob read_text read_csv".split()
)
SYSTEM_SCHEMAS = frozenset({"information_schema", "pg_catalog"})
READING_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_EXPLAIN = re.compile(
    r"\s*(?:(?:--[^\n]*\n|/\*.*?\*/)\s*)*EXPLAIN\b\s*(?:ANALYZE\b)?\s*(?:\([^)]*\))?",
    re.IGNORECASE | re.DOTALL,
)
_WORDS = re.compile(r"[A-Za-z_]+")
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_READING_WORDS = frozenset({"pivot", "unpivot", "select", "with", "from"})


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that may run."""

    sql: str
    kind: str
    tables: frozenset[str] | None
    """Which tables it names; None when that is not known."""


def check(connection: duckdb.DuckDBPyConnection, sql: str) -> Checked:
    """Return the one statement of a text; raises RejectedError, or what the parser says."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        count = "no statement" if not statements else f"{len(statements)} statements"
        raise RejectedError(f"{count}: a query is exactly one", hint=f"write one {READERS}")
    statement = statements[0]
    kind = statement.type.name
    text = statement.query.strip().rstrip(";")
    if kind == "SELECT":
        tables = _check_tree(connection, text)
    elif kind == "EXPLAIN":
        check(connection, _EXPLAIN.sub("", text, count=1))
        tables = None
    elif kind == "MULTI" and _first_word(text) in _READING_WORDS:
        tables = None
    else:
        raise RejectedError(
            f"{_name(kind, text)} is not allowed: history is read only", hint=f"write {READERS}"
        )
    return Checked(sql=text, kind=kind, tables=tables)


def _name(kind: str, text: str) -> str:
    word = _first_word(text).upper()
    return word or kind


def _first_word(text: str) -> str:
    found = _WORDS.search(_COMMENTS.sub(" ", text))
    return found.group().lower() if found else ""


def _check_tree(connection: duckdb.DuckDBPyConnection, text: str) -> frozenset[str] | None:
    """Look at every table, function and subquery of a SELECT."""
    row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchone()
    tree = msgspec.json.decode(row[0] if row else "{}")
    if tree.get("error"):
        raise RejectedError(str(tree.get("error_message", "this cannot be read")))
    nodes = list(_nodes(tree))
    named = {str(key).lower() for node in nodes for key in _common_tables(node)}
    tables: set[str] = set()
    for node in nodes:
        _check_node(node, named, tables)
    return None if any(_lists_tables(node) for node in nodes) else frozenset(tables)


def _lists_tables(node: dict[str, Any]) -> bool:
    """Tell whether a query asks which tables there are."""
    schema = str(node.get("schema_name", "")).lower()
    return node.get("type") == "SHOW_REF" or schema in SYSTEM_SCHEMAS or _is_catalog_function(node)


def _is_catalog_function(node: dict[str, Any]) -> bool:
    return str(node.get("function_name", "")).lower() == "duckdb_columns"


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield item
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _common_tables(node: dict[str, Any]) -> Iterator[Any]:
    entries = node.get("cte_map")
    if isinstance(entries, dict):
        for entry in entries.get("map", ()):
            yield entry.get("key")
    if node.get("type") in ("RECURSIVE_CTE_NODE", "CTE_NODE"):
        yield node.get("cte_name")


def _check_node(node: dict[str, Any], named: set[str], tables: set[str]) -> None:
    kind = node.get("type")
    if not isinstance(kind, str):
        return
    if kind.endswith("_NODE") and kind not in READING_NODES and "cte_map" in node:
        raise RejectedError(f"{kind.split('_')[0]} is not allowed: history is read only")
    if kind == "BASE_TABLE":
        _check_table(node, named, tables)
    elif kind == "TABLE_FUNCTION":
        _check_table_function(node)
    elif kind == "FUNCTION" and str(node.get("function_name", "")).lower() in HIDDEN_FUNCTIONS:
        raise RejectedError(f"the function {node['function_name']}() is not allowed here")


def _check_table(node: dict[str, Any], named: set[str], tables: set[str]) -> None:
    name, schema = str(node.get("table_name", "")), str(node.get("schema_name", "")).lower()
    lowered = name.lower()
    if schema in SYSTEM_SCHEMAS and not node.get("catalog_name"):
        return
    if schema in ("", "main") and (lowered in VIEWS or lowered in named):
        tables.add(lowered)
        return
    shown = f"{schema}.{name}" if schema else name
    raise RejectedError(f"there is no table {shown}", hint=_tables_hint(lowered))


def _tables_hint(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(VIEWS), n=1)
    return f"did you mean {near[0]}?" if near else f"the tables are {', '.join(VIEWS)}"


def _check_table_function(node: dict[str, Any]) -> None:
    function = node.get("function")
    name = str(function.get("function_name", "")) if isinstance(function, dict) else ""
    if name.lower() not in TABLE_FUNCTIONS:
        raise RejectedError(
            f"the function {name}() is not allowed here",
            hint=f"a query reads the tables {', '.join(VIEWS)}",
        )
