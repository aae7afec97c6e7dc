"""Turns a validated document into its compiled form.

It never fails: what cannot be used (an unknown name, a syntax error, a part of the language that
this version does not run) becomes the error of the task that needs it, raised when it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from flunq.core.collecting import CollectingError, collecting_of
from flunq.core.document import calls, listening, messaging, policies, runs
from flunq.core.document.addresses import DOCUMENT, function_address, function_name
from flunq.core.document.bundle import EMPTY, Library
from flunq.core.document.children import compile_child
from flunq.core.document.extensions import Extensions
from flunq.core.document.loose import loosened
from flunq.core.document.model import (
    Assignment,
    Case,
    Catch,
    DataStage,
    Emit,
    Flow,
    Fork,
    Loop,
    Raise,
    RetryPolicy,
    Sequence,
    Switch,
    Task,
    Try,
    Unsupported,
    Wait,
    Workflow,
)
from flunq.core.document.needs import graph_of
from flunq.core.document.traffic import compile_traffic
from flunq.core.execution.commands import WorkflowRef
from flunq.core.markers import as_text
from flunq.core.pausing import PauseError, hooks_of, pause_of

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
SECRET_NAMES = ("$secrets", "$authorization")

# ``for`` and ``listen`` tasks carry companions that are task keys too, so the order matters.
KINDS = (
    "for",
    "listen",
    "try",
    "fork",
    "switch",
    "set",
    "raise",
    "wait",
    "emit",
    "call",
    "run",
    "do",
)

_EFFECTS = frozenset({"call", "run", "listen"})
EVALUATION_MODES = ("strict", "loose")


def compile_workflow(value: dict[str, Any], digest: str, library: Library = EMPTY) -> Workflow:
    """Compile a validated document; ``digest`` names it among the registered definitions.

    ``library`` holds what was registered with it: schemas, functions, files for executors.
    """
    document = value["document"]
    compiler = _Compiler(value, library)
    first = compiler.scope(value.get("do") or [], "/do")
    compiler.compile_outside_functions()
    return Workflow(
        ref=WorkflowRef(
            namespace=str(document["namespace"]),
            name=str(document["name"]),
            version=str(document["version"]),
            digest=digest,
        ),
        value=value,
        first=first,
        tasks=compiler.tasks,
        input=policies.stage(value.get("input"), "from", library),
        output=policies.stage(value.get("output"), "as", library),
        timeout=policies.timeout(value.get("timeout"), compiler.named("timeouts")),
        problem=compiler.problem(),
        secrets=tuple(str(name) for name in _names(value.get("use"), "secrets")),
        uses_secrets=any(name in repr(value) or library.mentions(name) for name in SECRET_NAMES),
        tags=_tags(document.get("tags")),
        pause=_lenient(pause_of, value, None),
        hooks=_lenient(hooks_of, value, {}),
        collecting=_lenient(collecting_of, value, None),
    )


def _lenient(read: Callable[[Any], T], value: Any, otherwise: T) -> T:
    """Read metadata of a document that may be older than their meaning."""
    try:
        return read(value)
    except (PauseError, CollectingError):
        return otherwise


def _names(use: Any, what: str) -> list[Any]:
    names = use.get(what) if isinstance(use, dict) else None
    return names if isinstance(names, list) else []


def _tags(tags: Any) -> dict[str, str]:
    if not isinstance(tags, dict):
        return {}
    return {str(name): as_text(value) for name, value in tags.items()}


def escape(name: str) -> str:
    """Escape a name for a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


class _Scope:
    """The names of one task list, for flow directives."""

    __slots__ = ("leaves", "names", "prefix", "references", "sequential")

    def __init__(
        self,
        prefix: str,
        tasks: list[dict[str, Any]],
        *,
        sequential: bool = True,
        leaves: bool = False,
    ) -> None:
        self.prefix = prefix
        self.leaves = leaves
        self.names: dict[str, int] = {}
        self.references: list[str] = []
        self.sequential = sequential
        for index, entry in enumerate(tasks):
            name = next(iter(entry))
            self.names.setdefault(name, index)
            self.references.append(f"{prefix}/{index}/{escape(name)}")

    def following(self, index: int) -> Flow:
        if self.sequential and index + 1 < len(self.references):
            return Flow(next=self.references[index + 1])
        return Flow()

    def flow(self, directive: Any, index: int) -> Flow:
        if directive is None or directive == "continue":
            return self.following(index)
        if directive in ("exit", "end"):
            return Flow(end=directive == "end", leave=self.leaves and directive == "exit")
        target = self.names.get(directive)
        if target is None or not self.sequential:
            return Flow(problem=f"there is no task {directive!r} to go on with in this scope")
        return Flow(next=self.references[target], back=target <= index)


class _Compiler:
    """Walks the document and collects its tasks by reference."""

    def __init__(self, value: dict[str, Any], library: Library) -> None:
        self._document = value["document"]
        self._library = library
        self._base = DOCUMENT
        """The address of what is being compiled."""
        self._outside: dict[str, str] = {}
        """References of functions outside of the document, by address."""
        self._waiting: list[str] = []
        self._use = value.get("use") or {}
        self._evaluate = value.get("evaluate") or {}
        self.tasks: dict[str, Task] = {}
        self._extensions = Extensions({})
        extensions = Extensions(self._use)
        for task in extensions.tasks(self._extension_scope):
            self.tasks[task.reference] = task
        # Only now: the tasks of extensions are not extended themselves.
        self._extensions = extensions
        for name, definition in self.named("functions").items():
            self._function(name, definition)

    def _function(self, name: str, definition: dict[str, Any]) -> None:
        # A scope of one task that is not a list in the document: only its reference differs.
        scope = _Scope("", [{name: definition}])
        scope.references[0] = calls.function_reference(name)
        self._task(scope, 0, name, definition)

    def compile_outside_functions(self) -> None:
        """Compile the functions that are called from the document or from each other."""
        while self._waiting:
            self._base = self._waiting.pop()
            self._function(function_name(self._base), self._library.value(self._base))
        self._base = DOCUMENT

    def _outside_function(self, call: str) -> str:
        """Return the reference of a function outside; raises AddressError, NotBundledError."""
        address = function_address(call, self._base)
        if address not in self._outside:
            self._library.value(address)
            self._outside[address] = calls.function_reference(function_name(address))
            self._waiting.append(address)
        return self._outside[address]

    def _stage(self, value: Any, key: str) -> DataStage:
        return policies.stage(value, key, self._library, self._base)

    def named(self, what: str) -> dict[str, Any]:
        """Return one of the tables of ``use``."""
        table = self._use.get(what)
        return table if isinstance(table, dict) else {}

    def problem(self) -> tuple[str, str] | None:
        """Tell where and why the document asks for what this version cannot do."""
        if self._evaluate.get("language", "jq") != "jq":
            return "/evaluate/language", "only the expression language jq is supported"
        if self._evaluate.get("mode", "strict") not in EVALUATION_MODES:
            return "/evaluate/mode", "evaluation is strict or loose"
        return None

    def scope(self, tasks: list[dict[str, Any]], prefix: str, *, sequential: bool = True) -> str:
        """Compile a task list; return the reference of its first task."""
        return (self._scope(tasks, prefix, sequential=sequential) or ("",))[0]

    def _scope(
        self, tasks: list[dict[str, Any]], prefix: str, *, sequential: bool
    ) -> tuple[str, ...]:
        return self._fill(_Scope(prefix, tasks, sequential=sequential), tasks)

    def _extension_scope(self, tasks: list[dict[str, Any]], prefix: str, leaves: bool) -> str:
        return (self._fill(_Scope(prefix, tasks, leaves=leaves), tasks) or ("",))[0]

    def _fill(self, scope: _Scope, tasks: list[dict[str, Any]]) -> tuple[str, ...]:
        for index, entry in enumerate(tasks):
            name, definition = next(iter(entry.items()))
            self._task(scope, index, name, definition)
        return tuple(scope.references)

    def _task(self, scope: _Scope, index: int, name: str, definition: dict[str, Any]) -> None:
        reference = scope.references[index]
        kind = next((kind for kind in KINDS if kind in definition), "unknown")
        is_loose = self._evaluate.get("mode") == "loose"
        meant = loosened(kind, definition) if is_loose else definition
        meant = self._library.localised(meant, self._base)
        handler, spec = self._spec(kind, meant, reference, scope, index)
        self.tasks[reference] = Task(
            name=name,
            reference=reference,
            kind=kind,
            handler=handler,
            definition=definition,
            condition=policies.condition(definition.get("if")),
            input=self._stage(definition.get("input"), "from"),
            output=self._stage(definition.get("output"), "as"),
            export=self._stage(definition.get("export"), "as"),
            timeout=policies.timeout(definition.get("timeout"), self.named("timeouts")),
            flow=scope.flow(definition.get("then"), index),
            following=scope.following(index),
            spec=spec,
            extensions=self._extensions.around(kind),
            traffic=compile_traffic(self._document, definition) if kind in _EFFECTS else None,
        )

    def _spec(
        self, kind: str, definition: dict[str, Any], reference: str, scope: _Scope, index: int
    ) -> tuple[str, Any]:
        if kind == "switch":
            return kind, _switch(definition["switch"], scope, index)
        if kind == "listen":
            inner = (definition.get("foreach") or {}).get("do") or []
            first = self.scope(inner, f"{reference}/foreach/do")
            return kind, listening.compile_listen(definition, first, self._stage)
        if kind == "call":
            return self._call(definition, reference)
        if kind == "run" and "workflow" in definition["run"]:
            return "child", compile_child(definition["run"])
        if kind == "run":
            named = self.named("authentications")
            return runs.compile_run(definition, self._document, reference, named)
        make = getattr(self, f"_{kind}", None)
        if make is None:
            return "unsupported", Unsupported(
                detail=f"{kind} tasks are not supported by this version"
            )
        return kind, make(definition, reference)

    def _call(self, definition: dict[str, Any], reference: str) -> tuple[str, Any]:
        handler, spec = calls.compile_call(definition, self._use, self._outside_function)
        foreach = messaging.foreach_of(definition)
        if foreach is None:
            return handler, spec
        inner = f"{reference}/with/subscription/foreach/do"
        first = self.scope(foreach.get("do") or [], inner)
        return "subscription", messaging.iterating(spec, definition, first, self._stage)

    def _do(self, definition: dict[str, Any], reference: str) -> Sequence:
        return Sequence(first=self.scope(definition["do"], f"{reference}/do"))

    def _set(self, definition: dict[str, Any], reference: str) -> Assignment:
        return Assignment(value=policies.template(definition["set"]))

    def _for(self, definition: dict[str, Any], reference: str) -> Loop:
        loop = definition["for"]
        return Loop(
            each=loop.get("each", "item"),
            at=loop.get("at", "index"),
            items=policies.condition(loop["in"]) or policies.Broken("for.in is empty"),
            condition=policies.condition(definition.get("while")),
            first=self.scope(definition.get("do") or [], f"{reference}/do"),
        )

    def _fork(self, definition: dict[str, Any], reference: str) -> Fork:
        fork = definition["fork"]
        branches = self._scope(fork["branches"], f"{reference}/fork/branches", sequential=False)
        compete = bool(fork.get("compete", False))
        needs = () if compete else graph_of(fork["branches"])
        return Fork(branches=branches, compete=compete, needs=needs)

    def _try(self, definition: dict[str, Any], reference: str) -> Try:
        first = self.scope(definition["try"], f"{reference}/try")
        return Try(first=first, catch=self._catch(definition.get("catch") or {}, reference))

    def _catch(self, catch: dict[str, Any], reference: str) -> Catch:
        retry, problem = self._retry(catch.get("retry"))
        return Catch(
            filter=(catch.get("errors") or {}).get("with") or {},
            variable=catch.get("as", "error"),
            when=policies.condition(catch.get("when")),
            except_when=policies.condition(catch.get("exceptWhen")),
            retry=retry,
            handler=self.scope(catch.get("do") or [], f"{reference}/catch/do"),
            problem=problem,
        )

    def _retry(self, value: Any) -> tuple[RetryPolicy | None, str]:
        if isinstance(value, str):
            if value not in self.named("retries"):
                return None, f"there is no retry policy {value!r}"
            value = self.named("retries")[value]
        return (None if value is None else policies.retry_policy(value)), ""

    def _raise(self, definition: dict[str, Any], reference: str) -> Raise:
        error = definition["raise"]["error"]
        if isinstance(error, str):
            if error not in self.named("errors"):
                return Raise(error=policies.template(None), problem=f"there is no error {error!r}")
            error = self.named("errors")[error]
        return Raise(error=policies.template(error))

    def _wait(self, definition: dict[str, Any], reference: str) -> Wait:
        return Wait(duration=policies.duration(definition["wait"]))

    def _emit(self, definition: dict[str, Any], reference: str) -> Emit:
        return Emit(event=policies.template(definition["emit"]["event"]["with"]))


def _switch(cases: list[dict[str, Any]], scope: _Scope, index: int) -> Switch:
    compiled: list[Case] = []
    default: Flow | None = None
    for entry in cases:
        case = next(iter(entry.values()))
        flow = scope.flow(case.get("then"), index)
        when = policies.condition(case.get("when"))
        if when is not None:
            compiled.append(Case(when=when, flow=flow))
        elif default is None:
            default = flow
    return Switch(cases=tuple(compiled), default=default)
