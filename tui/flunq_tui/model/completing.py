"""What a word of a query may become."""

from __future__ import annotations

import re

from flunq.store.views import VIEWS

_KEYWORDS = (
    "select from where group by order by limit having with as join left join on using and or not "
    "in like between case when then else end distinct union all desc asc is null filter over "
    "partition by qualify describe summarize"
).split()
_FUNCTIONS = (
    "count( sum( avg( min( max( median( quantile_cont( date_trunc( now( coalesce( epoch_ms( "
    "json_extract( json_extract_string( arg_max( list( round("
).split()
_WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*$")
_SHORTEST = 2

_QUERIES = """
newest executions
  select id, workflow, status, started_at from executions
  order by started_at desc limit 100
failures by workflow
  select workflow, error_title, count(*) as failures
  from executions where status = 'faulted'
  group by all order by failures desc
slowest tasks
  select workflow, name, kind, median(duration_ms) as median_ms,
    max(duration_ms) as max_ms, count(*) as times
  from tasks group by all order by median_ms desc limit 50
durations by version
  select workflow, version, count(*) as runs,
    quantile_cont(duration_ms, 0.5) as p50, quantile_cont(duration_ms, 0.95) as p95
  from executions where status = 'completed'
  group by all order by p95 desc
events per minute
  select date_trunc('minute', time) as minute, count(*) as events
  from events group by all order by minute
attempts that failed
  select execution_id, task, attempt, error_title, error_status
  from attempts where status = 'faulted'
  order by started_at desc limit 100
"""


def _read(text: str) -> tuple[tuple[str, str], ...]:
    """Read titles, each followed by the indented lines of its query."""
    found: list[tuple[str, list[str]]] = []
    for line in text.strip().splitlines():
        if line.startswith(" "):
            found[-1][1].append(line[2:])
        else:
            found.append((line, []))
    return tuple((title, "\n".join(lines)) for title, lines in found)


QUERIES = _read(_QUERIES)
"""Questions that people begin with."""


def completion(before: str) -> str:
    """Return what to add to a text that ends with the beginning of a word; empty for nothing."""
    match = _WORD.search(before)
    if match is None or len(match[0]) < _SHORTEST:
        return ""
    word = match[0]
    columns = dict.fromkeys(column.name for view in VIEWS.values() for column in view.columns)
    for each in (*VIEWS, *columns, *_KEYWORDS, *_FUNCTIONS):
        if each.startswith(word.lower()) and each != word.lower():
            rest = each[len(word) :]
            return rest.upper() if word.isupper() and each not in columns else rest
    return ""
