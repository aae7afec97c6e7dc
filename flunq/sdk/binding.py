"""From a task's arguments to a function's parameters, and from its result back to JSON."""

from __future__ import annotations

import inspect
import re
import types
import typing
from dataclasses import dataclass, field
from typing import Any

import msgspec

from flunq.sdk.context import ExecutorContext, TaskContext
from flunq.sdk.executor import JSON, Call, TaskError

if typing.TYPE_CHECKING:
    from collections.abc import Callable

Bound = tuple[tuple[Any, ...], dict[str, Any]]

_ABSENT = object()
_NOTHING: dict[str, Any] = {}
_SCALARS = frozenset({str, int, float, bool, type(None)})
_PLAIN_RESULTS = frozenset({int, bool, type(None)})
_AT = re.compile(r"^(?P<problem>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_FIELD = re.compile(
    r"^(?P<problem>Object (?:missing required|contains unknown) field) `(?P<name>.*)`$"
)
_PLAIN = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a function may know about its call: annotate a parameter with it."""

    execution: str
    task: str
    """Names the attempt."""
    key: str
    """The idempotency key: the same for every attempt and delivery of this step."""
    attempt: int = 1
    context: TaskContext = field(
        default_factory=lambda: TaskContext(ExecutorContext()), repr=False, compare=False
    )

    @property
    def cancelled(self) -> bool:
        """True once nobody wants the outcome any more."""
        return self.context.cancelled

    def heartbeat(self) -> None:
        """Call it now and then in long work in a thread: raises when the work should stop."""
        self.context.heartbeat()


class Binder:
    """Fills the parameters of one function.

    One parameter takes the whole value when its type can, several are filled by name.
    """

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self._name = name
        parameters = _parameters(name, call)
        self._step = _step_parameter(parameters)
        self._rest = any(p.kind is p.VAR_KEYWORD for p in parameters)
        usable = [p for p in parameters if p.kind in (*_PLAIN, p.POSITIONAL_ONLY)]
        self._filled = [p for p in usable if p.name != self._step]
        self._are_required = all(p.default is inspect.Parameter.empty for p in self._filled)
        self._positional = tuple(p.name for p in usable if p.kind is p.POSITIONAL_ONLY)
        self._whole = self._whole_type()
        self._model = self._arguments_model()

    def bind(self, call: Call, context: TaskContext) -> Bound:
        """Return positional and keyword arguments, or raise a ``validation`` TaskError."""
        arguments = call.arguments
        if type(arguments) not in _SCALARS:
            # A copy: what the function does to it must not reach the engine's own value.
            arguments = msgspec.to_builtins(arguments)
        named = self._values(arguments)
        if self._step is not None:
            named[self._step] = Step(
                execution=call.execution,
                task=call.task,
                key=call.key,
                attempt=call.attempt,
                context=context,
            )
        if self._positional:
            first = tuple(named.pop(name) for name in self._positional if name in named)
            return first, named
        return (), named

    def _values(self, arguments: Any) -> dict[str, Any]:
        if len(self._filled) == 1 and not self._rest:
            only = self._filled[0].name
            if not isinstance(arguments, dict):
                if arguments is None and self._filled[0].default is not inspect.Parameter.empty:
                    return {}
                return {only: self._convert(arguments, self._annotation(only), only)}
            if self._whole is not None and not self._is_named(arguments, only):
                return {only: self._convert(arguments, self._annotation(only), only)}
        return self._by_name(arguments)

    def _is_named(self, arguments: dict[str, Any], only: str) -> bool:
        return len(arguments) == 1 and only in arguments and only not in (self._whole or ())

    def _by_name(self, arguments: Any) -> dict[str, Any]:
        given = _NOTHING if arguments is None else arguments
        if not isinstance(given, dict):
            raise self._invalid(f"expected an object with the arguments, got {given!r:.60}")
        filled = self._convert(given, self._model, "")
        named = msgspec.structs.asdict(filled)
        if not self._are_required:
            named = {name: value for name, value in named.items() if value is not _ABSENT}
        if self._rest:
            extra = given.keys() - named.keys() - {p.name for p in self._filled}
            named.update((name, given[name]) for name in extra)
        return named

    def _convert(self, value: Any, target: Any, prefix: str) -> Any:
        if target is Any:
            return value
        try:
            converted = msgspec.convert(value, target, dec_hook=_build)
        except msgspec.ValidationError as error:
            raise self._invalid(_readable(str(error), prefix)) from error
        return converted

    def _annotation(self, name: str) -> Any:
        return next(_type_of(p) for p in self._filled if p.name == name)

    def _whole_type(self) -> frozenset[str] | None:
        """Return the member names that the one parameter's type knows; None: takes no object."""
        if len(self._filled) != 1:
            return None
        return _object_members(_type_of(self._filled[0]), self._filled[0].name)

    def _arguments_model(self) -> type[msgspec.Struct]:
        fields: list[Any] = []
        for parameter in self._filled:
            required = parameter.default is inspect.Parameter.empty
            entry = (parameter.name, _type_of(parameter))
            fields.append(entry if required else (*entry, _ABSENT))
        try:
            return msgspec.defstruct(
                "Arguments", fields, kw_only=True, forbid_unknown_fields=not self._rest
            )
        except TypeError as error:
            raise _unusable(self._name, str(error)) from error

    def _invalid(self, problem: str) -> TaskError:
        return TaskError("validation", 400, "The arguments do not fit", f"{self._name}: {problem}")


def to_json(result: Any, name: str = "the function") -> JSON:
    """Turn a function's result into JSON values that nobody else holds."""
    if type(result) in _PLAIN_RESULTS:
        return typing.cast(JSON, result)
    try:
        # Through the text, so that what the engine holds is what the journal says (NaN is null).
        return typing.cast(JSON, msgspec.json.decode(msgspec.json.encode(result, enc_hook=_dump)))
    except (TypeError, ValueError, RecursionError) as error:
        raise TaskError(
            "runtime", 500, "The result is not JSON", f"{name}: {str(error)[:300]}"
        ) from error


def _parameters(name: str, call: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(call, eval_str=True).parameters.values())
    except (NameError, TypeError, ValueError, SyntaxError, AttributeError) as error:
        raise _unusable(name, str(error)) from error


def _step_parameter(parameters: list[inspect.Parameter]) -> str | None:
    for parameter in parameters:
        if Step in (parameter.annotation, *typing.get_args(parameter.annotation)):
            return parameter.name
    return None


def _type_of(parameter: inspect.Parameter) -> Any:
    annotation = parameter.annotation
    loose = annotation in (inspect.Parameter.empty, Any, object, dict, list)
    return Any if loose and annotation not in (dict, list) else annotation


def _object_members(annotation: Any, name: str) -> frozenset[str] | None:
    options = _options(annotation)
    if any(option is Any or _is_open(option) for option in options):
        return frozenset({name})
    known = [members for option in options if (members := _members(option)) is not None]
    return frozenset().union(*known) if known else None


def _options(annotation: Any) -> tuple[Any, ...]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _options(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return tuple(o for arg in typing.get_args(annotation) for o in _options(arg))
    return (annotation,)


def _is_open(option: Any) -> bool:
    """Tell whether a type takes objects with any members."""
    origin = typing.get_origin(option) or option
    return (
        isinstance(origin, type)
        and not typing.is_typeddict(origin)
        and issubclass(dict, origin)
        and origin is not typing.Hashable
    )


def _members(option: Any) -> frozenset[str] | None:
    target = typing.get_origin(option) or option
    if not isinstance(target, type) and not typing.is_typeddict(target):
        return None
    model_fields = getattr(target, "model_fields", None)
    if isinstance(model_fields, dict):
        return frozenset(model_fields)
    if issubclass(target, msgspec.Struct):
        return frozenset(target.__struct_encode_fields__)
    if typing.is_typeddict(target) or hasattr(target, "__dataclass_fields__"):
        return frozenset(typing.get_type_hints(target))
    return None


def _build(target: type, value: Any) -> Any:
    """Build what msgspec does not know by itself."""
    validate = getattr(target, "model_validate", None)
    if validate is not None:
        return _validated(validate, value)
    raise TypeError(f"a {target.__name__} cannot be made from JSON")


def _validated(validate: Callable[[Any], Any], value: Any) -> Any:
    try:
        return validate(value)
    except ValueError as error:
        describe = getattr(error, "errors", None)
        if describe is None:
            raise
        # The model's own text spans several lines; its first finding is enough.
        first = describe()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{place}: {first['msg']}") from error


def _dump(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def _readable(message: str, prefix: str) -> str:
    """Say which argument is wrong: ``argument `order.qty`: expected `int`, got `str```."""
    found = _AT.match(message)
    problem, path = (found["problem"], found["path"] or "") if found else (message, "")
    missing = _FIELD.match(problem)
    if missing:
        problem = missing["problem"].replace("Object ", "").replace(" field", " argument")
        path = f"{path}.{missing['name']}" if path else missing["name"]
        return f"{problem} `{_joined(prefix, path)}`"
    problem = problem[:1].lower() + problem[1:400]
    place = _joined(prefix, path)
    return f"argument `{place}`: {problem}" if place else problem


def _joined(prefix: str, path: str) -> str:
    if not prefix or not path:
        return prefix or path
    return f"{prefix}{path}" if path.startswith("[") else f"{prefix}.{path}"


def _unusable(name: str, problem: str) -> TaskError:
    return TaskError(
        "configuration", 400, "The function cannot be called", f"{name}: {problem[:300]}"
    )
