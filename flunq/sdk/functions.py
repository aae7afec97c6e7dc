"""Python functions as tasks: ``@flunq.function`` and the executor that runs them."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload
from zlib import crc32

from flunq.errors import UsageError
from flunq.sdk.binding import Binder, Step, to_json
from flunq.sdk.executor import JSON, Call, Executor, TaskError

if TYPE_CHECKING:
    from flunq.sdk.context import ExecutorContext, TaskContext

__all__ = [
    "FunctionExecutor",
    "Functions",
    "Step",
    "TaskError",
    "default_functions",
    "function",
    "load_functions",
]

KIND = "function:"
RESERVED = frozenset({"a2a", "asyncapi", "grpc", "http", "mcp", "openapi"})

F = TypeVar("F", bound=Callable[..., Any])


class Function:
    """A registered function; how its arguments bind is worked out at its first call."""

    __slots__ = ("_binder", "call", "is_async", "name")

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self.name = name
        self.call = call
        self.is_async = inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(
            getattr(call, "__call__", None)  # noqa: B004 - an instance's, to see if it is async
        )
        self._binder: Binder | None = None

    @property
    def binder(self) -> Binder:
        """Turns arguments into parameters; annotations may name what was defined later."""
        if self._binder is None:
            self._binder = Binder(self.name, self.call)
        return self._binder


class Functions:
    """The functions that workflows can call by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, Function] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._by_name))

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Function:
        return self._by_name[name]

    def register(self, call: Callable[..., Any], name: str | None = None) -> None:
        """Add a function; one that was defined again under the same name replaces it."""
        chosen = name or getattr(call, "__name__", "")
        if not chosen or chosen == "<lambda>":
            raise UsageError("a function without a name needs one: @flunq.function('name')")
        if chosen in RESERVED:
            raise UsageError(f"a function cannot be called {chosen!r}: the DSL reserves the name")
        known = self._by_name.get(chosen)
        if known is not None and _origin(known.call) != _origin(call):
            raise UsageError(f"two functions are called {chosen!r}", hint="rename one of them")
        self._by_name[chosen] = Function(chosen, call)


def _origin(call: Callable[..., Any]) -> tuple[str, str]:
    fallback = type(call)
    module = getattr(call, "__module__", fallback.__module__)
    return module, getattr(call, "__qualname__", fallback.__qualname__)


default_functions = Functions()


@overload
def function(name: F, /) -> F: ...


@overload
def function(
    name: str | None = None, /, *, registry: Functions | None = None
) -> Callable[[F], F]: ...


def function(
    name: Any = None, /, *, registry: Functions | None = None
) -> Callable[[F], F] | Callable[..., Any]:
    """Let workflows call a function: ``@flunq.function`` or ``@flunq.function("charge-card")``.

    The function itself is returned unchanged. It may be async or sync, take the whole ``with``
    value in its one parameter or its members by name, and ask for a :class:`Step`.
    """
    functions = default_functions if registry is None else registry
    if callable(name):
        bare: Callable[..., Any] = name
        functions.register(bare)
        return bare

    def register(call: F) -> F:
        functions.register(call, name)
        return call

    return register


def load_functions(target: str | Path, *, registry: Functions | None = None) -> tuple[str, ...]:
    """Import a module or a ``.py`` file and return the names of the functions it registers."""
    functions = default_functions if registry is None else registry
    before = set(functions)
    text = str(target)
    try:
        module = _import_file(Path(text)) if text.endswith(".py") else _import_module(text)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        raise UsageError(
            f"cannot load functions from {text}: {type(error).__name__}: {error}"
        ) from error
    names = set(functions) - before or {
        name for name in functions if functions[name].call.__module__ == module
    }
    if not names:
        raise UsageError(
            f"{text} registers no functions", hint="decorate them with @flunq.function"
        )
    return tuple(sorted(names))


def _import_module(name: str) -> str:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module(name).__name__


def _import_file(path: Path) -> str:
    path = path.resolve()
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    # The file's own name could hide a module of the standard library.
    name = f"flunq_functions_{path.stem}_{crc32(str(path).encode()):08x}"
    if name in sys.modules:
        return name
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with ExitStack() as unless_loaded:
        unless_loaded.callback(sys.modules.pop, name)
        spec.loader.exec_module(module)
        unless_loaded.pop_all()
    return name


class FunctionExecutor(Executor):
    """Runs registered functions: async ones on the loop, the others in a few threads."""

    def __init__(self, functions: Functions | None = None) -> None:
        self._functions = default_functions if functions is None else functions
        self._by_kind = {KIND + name: self._functions[name] for name in self._functions}
        self.kinds = tuple(self._by_kind)
        self._threads: ThreadPoolExecutor | None = None

    async def start(self, context: ExecutorContext) -> None:
        """Provide the threads; they are created as they are needed."""
        self._threads = ThreadPoolExecutor(
            context.settings.sync_threads, thread_name_prefix="flunq-function"
        )

    async def aclose(self) -> None:
        """Forget calls that have not begun; running ones cannot be stopped."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def execute(self, call: Call, context: TaskContext) -> JSON:
        """Bind the arguments, call the function, return its result as JSON."""
        chosen = self._by_kind[call.kind]
        positional, named = chosen.binder.bind(call, context)
        if chosen.is_async:
            result = await chosen.call(*positional, **named)
        else:
            result = await self._in_thread(partial(chosen.call, *positional, **named))
        return to_json(result, chosen.name)

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        copied = contextvars.copy_context()

        def run() -> Any:
            return copied.run(_contained, work)

        result = await asyncio.get_running_loop().run_in_executor(self._threads, run)
        return await result if inspect.isawaitable(result) else result


def _contained(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except StopIteration as error:
        # A future cannot carry it.
        raise RuntimeError(f"the function raised StopIteration({error.value!r})") from error
