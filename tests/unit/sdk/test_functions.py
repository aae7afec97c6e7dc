from __future__ import annotations

import dataclasses
import enum
import sys
import threading
from datetime import datetime  # noqa: TC003 - functions are bound at run time
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, TypedDict
from uuid import UUID  # noqa: TC003 - functions are bound at run time

import msgspec
import pytest

from flunq.errors import UsageError
from flunq.sdk.context import TaskWithdrawnError
from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.functions import Functions, Step, function, load_functions
from flunq.sdk.testing import run_function

if TYPE_CHECKING:
    from pathlib import Path


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Order:
    id: str
    quantity: int = 1


class Item(msgspec.Struct):
    sku: str
    price: Decimal


class Address(TypedDict):
    city: str


class ModelLike:
    """Has what flunq uses of a pydantic model."""

    model_fields: dict[str, Any] = {"name": str}  # noqa: RUF012

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def model_validate(cls, value: Any) -> ModelLike:
        if not isinstance(value.get("name"), str):
            raise ValueError("name must be text")
        return cls(value["name"])

    def model_dump(self, mode: str) -> dict[str, str]:
        return {"name": self.name, "mode": mode}


async def takes_dataclass(order: Order) -> Any:
    return [type(order).__name__, order.id, order.quantity]


async def takes_struct(item: Item) -> Any:
    return [type(item).__name__, item.sku, item.price]


async def takes_typed_dict(address: Address) -> Any:
    return address["city"]


async def takes_model(person: ModelLike) -> Any:
    return person


async def takes_models(people: list[ModelLike], count: int) -> Any:
    return [person.name for person in people][:count]


async def takes_time(at: datetime) -> Any:
    return at.year


async def takes_uuid(id: UUID) -> Any:
    return id.version


async def takes_decimal(amount: Decimal) -> Any:
    return amount * 3


async def takes_enum(colour: Colour) -> Any:
    return colour.name


async def takes_optional(order: Order | None = None) -> Any:
    return order and order.id


async def takes_text(name: str) -> Any:
    return f"hello {name}"


async def takes_anything(value: Any) -> Any:
    return value


async def takes_unannotated(value):  # type: ignore[no-untyped-def]
    return value


async def takes_dict(value: dict[str, Any]) -> Any:
    return value


async def takes_list(value: list[int]) -> Any:
    return sum(value)


async def takes_several(order: Order, colour: Colour = Colour.RED, *, note: str = "-") -> Any:
    return [order.id, colour.value, note]


async def takes_rest(first: int, **rest: Any) -> Any:
    return [first, rest]


async def takes_position(first: int, /, second: int) -> Any:
    return [first, second]


async def takes_constrained(count: Annotated[int, msgspec.Meta(ge=1)]) -> Any:
    return count


async def takes_nothing() -> Any:
    return "done"


def takes_sync(left: int, right: int) -> Any:
    return left + right


UUID_4 = "7d444840-9dc0-41d2-9c6a-7c2e1d6f1f3b"

BINDINGS: list[tuple[Any, Any, Any]] = [
    (takes_dataclass, {"id": "a", "quantity": 2}, ["Order", "a", 2]),
    (takes_dataclass, {"order": {"id": "a"}}, ["Order", "a", 1]),
    (takes_struct, {"sku": "x", "price": "1.10"}, ["Item", "x", "1.10"]),
    (takes_typed_dict, {"city": "Bonn"}, "Bonn"),
    (takes_model, {"name": "Ada"}, {"name": "Ada", "mode": "json"}),
    (takes_model, {"person": {"name": "Ada"}}, {"name": "Ada", "mode": "json"}),
    (takes_models, {"people": [{"name": "a"}, {"name": "b"}], "count": 1}, ["a"]),
    (takes_time, {"at": "2026-01-02T03:04:05Z"}, 2026),
    (takes_uuid, {"id": UUID_4}, 4),
    (takes_decimal, {"amount": "0.10"}, "0.30"),
    (takes_decimal, 0.1, "0.3"),
    (takes_enum, {"colour": "blue"}, "BLUE"),
    (takes_enum, "blue", "BLUE"),
    (takes_optional, None, None),
    (takes_optional, {"id": "a"}, "a"),
    (takes_text, {"name": "Ada"}, "hello Ada"),
    (takes_text, "Ada", "hello Ada"),
    (takes_anything, {"value": 1}, {"value": 1}),
    (takes_anything, None, None),
    (takes_unannotated, {"value": [1]}, {"value": [1]}),
    (takes_dict, {"value": 1}, {"value": 1}),
    (takes_list, [1, 2, 3], 6),
    (takes_list, {"value": [1, 2]}, 3),
    (takes_several, {"order": {"id": "a"}}, ["a", "red", "-"]),
    (takes_several, {"order": {"id": "a"}, "colour": "blue", "note": "n"}, ["a", "blue", "n"]),
    (takes_rest, {"first": 1, "b": [2], "c": 3}, [1, {"b": [2], "c": 3}]),
    (takes_position, {"first": 1, "second": 2}, [1, 2]),
    (takes_nothing, None, "done"),
    (takes_nothing, {}, "done"),
    (takes_sync, {"left": 1, "right": 2}, 3),
]


@pytest.mark.parametrize(("call", "arguments", "expected"), BINDINGS)
async def test_arguments_reach_the_parameters(call: Any, arguments: Any, expected: Any) -> None:
    assert await run_function(call, arguments) == expected


REFUSALS: list[tuple[Any, Any, str]] = [
    (takes_dataclass, {"id": 1}, "argument `order.id`: expected `str`, got `int`"),
    (takes_dataclass, {"order": {"id": 1}}, "argument `order.id`: expected `str`, got `int`"),
    (takes_dataclass, {}, "missing required argument `order.id`"),
    (takes_several, {"colour": "red"}, "missing required argument `order`"),
    (takes_several, {"order": {"id": "a"}, "color": "red"}, "contains unknown argument `color`"),
    (takes_several, {"order": {"id": "a"}, "colour": "green"}, "argument `colour`: invalid enum"),
    (takes_several, [1], "expected an object with the arguments"),
    (takes_models, {"people": [{"name": 1}], "count": 1}, "argument `people[0]`: name must be"),
    (takes_text, {"name": 5}, "argument `name`: expected `str`, got `int`"),
    (takes_text, {}, "missing required argument `name`"),
    (takes_constrained, 0, "argument `count`: expected `int` >= 1"),
    (takes_list, [1, "x"], "argument `value[1]`: expected `int`, got `str`"),
    (takes_nothing, {"a": 1}, "contains unknown argument `a`"),
]


@pytest.mark.parametrize(("call", "arguments", "problem"), REFUSALS)
async def test_a_wrong_argument_is_named(call: Any, arguments: Any, problem: str) -> None:
    with pytest.raises(TaskError) as caught:
        await run_function(call, arguments)
    assert (caught.value.type, caught.value.status) == (f"{ERRORS}validation", 400)
    assert problem in (caught.value.detail or "")


async def test_a_function_cannot_change_the_engines_values() -> None:
    async def spoil(value: dict[str, Any], more: Any) -> Any:
        value["list"].append(1)
        more["x"] = 2

    arguments: dict[str, Any] = {"value": {"list": []}, "more": {}}
    await run_function(_local(spoil), arguments)
    assert arguments == {"value": {"list": []}, "more": {}}


def _local(call: Any) -> Any:
    call.__annotations__ = {"value": dict[str, Any], "more": Any}
    return call


async def test_a_step_parameter_says_which_call_it_is() -> None:
    assert await run_function(takes_step, {"text": "hi"}, attempt=3) == [
        "hi",
        "execution-1",
        "execution-1:/do/0/step",
        3,
        False,
    ]


async def takes_step(text: str, step: Step) -> Any:
    return [text, step.execution, step.key, step.attempt, step.cancelled]


def test_a_step_can_be_made_by_hand_and_stops_when_withdrawn() -> None:
    step = Step(execution="e", task="t", key="k")
    step.heartbeat()
    step.context.cancelled = True
    with pytest.raises(TaskWithdrawnError):
        step.heartbeat()


async def test_a_sync_function_runs_in_another_thread() -> None:
    assert await run_function(lambda: threading.current_thread().name.split("_")[0]) == (
        "flunq-function"
    )


async def test_a_sync_function_may_return_something_to_await() -> None:
    assert await run_function(lambda: takes_nothing()) == "done"


async def test_an_object_with_an_async_call_is_a_function_too() -> None:
    class Doubler:
        async def __call__(self, number: int) -> int:
            return number * 2

    Doubler.__call__.__annotations__["number"] = int
    assert await run_function(Doubler(), 4) == 8


async def test_a_result_without_json_form_is_a_runtime_error() -> None:
    with pytest.raises(TaskError) as caught:
        await run_function(lambda: object())
    assert caught.value.type == f"{ERRORS}runtime"
    assert "object has no JSON form" in (caught.value.detail or "")


async def test_a_stop_iteration_does_not_hang_the_call() -> None:
    def stop() -> Any:
        raise StopIteration(5)

    with pytest.raises(RuntimeError, match="StopIteration"):
        await run_function(stop)


async def test_an_annotation_that_cannot_be_resolved_is_a_configuration_error() -> None:
    def broken(value: Missing) -> Any:  # type: ignore[name-defined]  # noqa: F821
        return value

    with pytest.raises(TaskError, match="Missing") as caught:
        await run_function(broken, 1)
    assert caught.value.type == f"{ERRORS}configuration"


class TestFunction:
    def test_the_decorator_gives_the_function_back(self) -> None:
        registry = Functions()
        assert function("a-name", registry=registry)(takes_text) is takes_text
        assert list(registry) == ["a-name"]

    def test_without_a_name_it_is_the_functions_own(self) -> None:
        registry = Functions()
        function(registry=registry)(takes_text)
        assert list(registry) == ["takes_text"]

    def test_two_functions_of_one_name_are_refused(self) -> None:
        registry = Functions()
        function("same", registry=registry)(takes_text)
        with pytest.raises(UsageError, match="two functions are called 'same'"):
            function("same", registry=registry)(takes_dict)

    def test_the_same_function_may_be_registered_again(self) -> None:
        registry = Functions()
        function("same", registry=registry)(takes_text)
        function("same", registry=registry)(takes_text)
        assert len(registry) == 1

    @pytest.mark.parametrize("name", ["http", "openapi", "grpc"])
    def test_names_of_the_language_are_refused(self, name: str) -> None:
        with pytest.raises(UsageError, match="reserves"):
            function(name, registry=Functions())(takes_text)

    def test_a_lambda_needs_a_name(self) -> None:
        with pytest.raises(UsageError, match="needs one"):
            Functions().register(lambda: 1)


MODULE = """
import flunq
from dataclasses import dataclass
@dataclass
class Thing:
    size: int
@flunq.function({name!r})
async def measure(thing: Thing) -> int:
    return thing.size
"""


class TestLoadFunctions:
    def test_a_file_registers_its_functions(self, tmp_path: Path) -> None:
        path = tmp_path / "email.py"
        path.write_text(MODULE.format(name="measure-file"))
        assert load_functions(path) == ("measure-file",)
        assert load_functions(path) == ("measure-file",)

    def test_a_module_is_found_in_the_current_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        (tmp_path / "shop_functions.py").write_text(MODULE.format(name="measure-module"))
        assert load_functions("shop_functions") == ("measure-module",)

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("x = 1", "registers no functions"),
            ("import nothing_like_it", "ModuleNotFoundError"),
            ("raise SystemExit(3)", "SystemExit: 3"),
            ("def", "SyntaxError"),
        ],
    )
    def test_a_bad_file_is_said_in_one_line(self, tmp_path: Path, text: str, problem: str) -> None:
        path = tmp_path / "bad.py"
        path.write_text(text)
        with pytest.raises(UsageError, match=problem):
            load_functions(path)

    def test_a_missing_file_is_said_too(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="there is no file"):
            load_functions(tmp_path / "none.py")
