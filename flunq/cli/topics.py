"""The topics of ``flunq help``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.cli.exits import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Callable

_OUTPUT = """\
stdout carries data and nothing else; progress, hints and errors go to stderr.

-o table   for people (default): on a pipe without colour and without shortening
-o json    exactly one document; an empty list is []
-o jsonl   one object a line, at once; the format for streams
-o yaml    one document
-o csv     the columns of the table

With -o json a failure is an RFC 9457 problem object on stdout, and its line on stderr.
Moments in tables: --time relative (default), iso or raw.
Colour: --color auto|always|never. NO_COLOR and TERM=dumb switch it off, FORCE_COLOR and
CLICOLOR_FORCE switch it on.
Progress: --progress auto|plain|json|none, always on stderr; -q is silent.
Control, escape and bidirectional characters in data are shown as text, never sent to a terminal.
"""

_EXPRESSIONS = """\
Expressions are jq, between ${ and }:

  set:
    total: ${ [.items[].price] | add }
    greeting: ${ "Hello, \\(.name // "world")!" }

Names besides the input (.): $context, $input, $output, $secrets, $task, $workflow, $runtime, and
the variables of for and try.

Try one:  flunq expr '.items | map(.price) | add' -i @order.json

The everyday subset (paths, arithmetic, comparisons, and/or/not, //, objects, arrays, strings with
\\(...), if, pipes, common functions) runs in the engine; everything else runs in a child process
without environment, files or network, with a limit on time and memory. Both give what jq gives.
"""

_OTHER_VARIABLES = (
    ("FLUNQ_CONFIG_DIR", "Folder of contexts and of config.toml."),
    ("FLUNQ_TOKEN", "Bearer token for the API; wins over the context's."),
    ("FLUNQ_NATS_USER", "User at NATS; of flunq serve and up --nats the engine's."),
    ("FLUNQ_NATS_PASSWORD", "Password of that user."),
    ("FLUNQ_TOKEN_KEY", "Key of the cluster's tokens and links, for flunq serve control and api."),
    ("FLUNQ_SECRETS_KEY", "Key of the vault, for flunq serve: 32 bytes in base64."),
    ("FLUNQ_SECRET_<NAME>", "A secret of the first tenant, where the vault has none so called."),
    ("FLUNQ_LANGUAGE", "Language of the monitor: en or de."),
    ("FLUNQ_UVLOOP", "0: services run on the event loop of Python."),
    ("TRACEPARENT", "Trace that flunq start and run belong to."),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "Where traces are sent; others of OTEL_ count too."),
    ("VISUAL, EDITOR", "Program that edits texts."),
    ("NO_COLOR, FORCE_COLOR, CLICOLOR_FORCE, TERM", "See flunq help output."),
)


def _exit_codes() -> str:
    rows = [f"{int(code):>4}  {meaning}" for code, meaning in MEANINGS.items()]
    ends = "up, serve, tail and logs -f are stopped with Ctrl-C and end with 0."
    return "\n".join([*rows, "", ends])


def _environment() -> str:
    from flunq.config import descriptions  # msgspec is needed by this topic alone

    pairs = [(variable, text) for _, variable, text in descriptions()]
    width = max(len(variable) for variable, _ in pairs)
    lines = [f"{variable:<{width}}  {text}" for variable, text in pairs]
    others = [f"{variable:<{width}}  {text}" for variable, text in _OTHER_VARIABLES]
    order = "A flag wins over the environment, then flunq.toml (or [tool.flunq] in pyproject.toml),"
    rest = "then the context, then config.toml of the user. flunq config show --origin tells."
    return "\n".join([*lines, "", *others, "", order, rest])


TOPICS: dict[str, Callable[[], str]] = {
    "environment": _environment,
    "exit-codes": _exit_codes,
    "output": lambda: _OUTPUT,
    "expressions": lambda: _EXPRESSIONS,
}
