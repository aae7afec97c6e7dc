"""``flunq sql``: ask anything about the past."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flunq.cli import output, text
from flunq.cli.exported import ExportOption  # noqa: TC001 - Typer reads annotations
from flunq.cli.options import parse_duration, read_text
from flunq.cli.session import OutputFormat, update
from flunq.errors import UsageError


class SqlFormat(StrEnum):
    """The values of ``-o`` for answers."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"
    CSV = "csv"
    PARQUET = "parquet"


QueryFileOption = Annotated[
    Path | None, typer.Option("-f", "--query-file", metavar="FILE", help="Read the query.")
]
FormOption = Annotated[
    SqlFormat | None,
    typer.Option(
        "-o",
        "--output",
        metavar="table|json|jsonl|yaml|csv|parquet",
        help="Format of the answer.",
        rich_help_panel="Output",
    ),
]
OutputFileOption = Annotated[
    Path | None,
    typer.Option("--output-file", metavar="FILE", help="Write it there.", rich_help_panel="Output"),
]
VerticalOption = Annotated[
    bool | None,
    typer.Option(
        "--vertical/--no-vertical",
        "-x",
        help="A line for each column [where a table has no room].",
        show_default=False,
        rich_help_panel="Output",
    ),
]
ParametersOption = Annotated[
    list[str] | None,
    typer.Option(
        "-p",
        "--param",
        metavar="NAME=VALUE",
        help="A value for $NAME, in double quotes if it is text like 4711; repeatable.",
    ),
]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", metavar="TIME|SEQ", help="Only what had happened by then."),
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        "--timeout",
        parser=parse_duration,
        metavar="60s",
        help="Stop it then [60s].",
        show_default=False,
    ),
]

MaxRowsOption = Annotated[
    int, typer.Option("-n", "--max-rows", min=0, metavar="N", help="At most so many; 0 is all.")
]
MemoryOption = Annotated[
    int, typer.Option("--memory", min=64, metavar="MIB", help="What it may use.")
]
ArchiveOption = Annotated[
    bool, typer.Option("--archive", help="Read the archive only; ask no cluster.")
]
SchemaOption = Annotated[
    bool, typer.Option("--schema", help="Print the tables, or the columns of the table QUERY.")
]


def command(
    query: Annotated[
        str | None,
        typer.Argument(metavar="[QUERY]", help="The query; - is stdin, @file.sql a file."),
    ] = None,
    query_file: QueryFileOption = None,
    form: FormOption = None,
    output_file: OutputFileOption = None,
    vertical: VerticalOption = None,
    parameters: ParametersOption = None,
    as_of: AsOfOption = None,
    max_rows: MaxRowsOption = 0,
    timeout: TimeoutOption = 60.0,
    memory: MemoryOption = 1024,
    archive: ArchiveOption = False,
    export: ExportOption = None,
    schema: SchemaOption = False,
) -> int | None:
    """Ask anything about the past, in SQL.

    $ flunq sql "select workflow, status, count(*) from executions group by all"

    $ flunq sql "from tasks where execution_id = $id" -p id=order-123 -o json

    Without a query it is a shell. Events that were committed before the query started are seen,
    archived or not. Answers that are too wide for the terminal have a line for each column, unless
    -o says something. What the tables are: flunq sql --schema
    """
    from flunq.cli.sqlshell.asking import Asking, Options, read_as_of, read_parameters

    _choose(form)
    if schema:
        return _print_schema(query)
    seq, moment = read_as_of(as_of)
    options = Options(
        parameters=read_parameters(parameters or ()),
        as_of_seq=seq,
        as_of_time=moment,
        max_rows=max_rows,
        timeout=timeout,
        memory=memory << 20,
        archive_only=archive,
        export=export,
        parquet=form is SqlFormat.PARQUET,
        output_file=output_file,
        vertical=_is_vertical(vertical, form),
    )
    asking = Asking(options)
    sql = _read_query(query, query_file)
    if sql is None:
        from flunq.cli.sqlshell.shell import Shell

        return Shell(asking).run()
    return asking.once(sql)


def _choose(form: SqlFormat | None) -> None:
    if form is SqlFormat.PARQUET:
        update(output=OutputFormat.TABLE)
    elif form is not None:
        update(output=OutputFormat(form.value))


def _is_vertical(wanted: bool | None, form: SqlFormat | None) -> bool | None:
    if wanted and form not in (None, SqlFormat.TABLE):
        raise UsageError(f"--vertical is a way to show tables, not {form}")
    return False if wanted is None and form is SqlFormat.TABLE else wanted


def _read_query(query: str | None, query_file: Path | None) -> str | None:
    """Return the query; None means that somebody sits at a terminal and is going to type it."""
    if query is not None and query_file is not None:
        raise UsageError("there are two queries: an argument and -f")
    if query_file is not None:
        return read_text(query_file)
    if query == "-" or (query is None and not text.is_terminal(sys.stdin)):
        return sys.stdin.read()
    if query is not None and query.startswith("@"):
        return read_text(Path(query[1:]))
    return query


def _print_schema(name: str | None) -> int:
    from flunq.cli.tables import Column
    from flunq.store.views import VIEWS

    if name is None:
        rows = [{"table": view.name, "contents": view.doc} for view in VIEWS.values()]
        output.emit(rows, columns=[Column("table", whole=True), Column("contents", whole=True)])
        return 0
    view = VIEWS.get(name.lower())
    if view is None:
        from flunq.cli.suggest import did_you_mean

        raise UsageError(f"there is no table {name}", hint=did_you_mean(name, list(VIEWS)))
    columns = [{"column": c.name, "type": c.kind, "meaning": c.doc} for c in view.columns]
    output.emit(
        columns,
        columns=[Column("column", whole=True), Column("type", whole=True), Column("meaning")],
    )
    return 0
