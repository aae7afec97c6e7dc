"""Documents broken at random places, repeatably by their seed."""

from __future__ import annotations

import copy
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STRANGERS: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.0, 1.5, 70000, "", "x", "continue", "end", "${ .a }",
    " ${ .a } ", "${}", "${ .a\n}", "PT5S", "P", "P1DT", "PT", "P1Y2M3W4DT5H6M7.5S", "pt5s",
    "PT-5S", "P1D\n", "https://example.com/{id}", "https://example.com/{id", "https://x.y/it's",
    "not a uri", "https://a b", "urn:x:y", "x://", "/a/b~1c", "/a/~2", "2025-01-31T12:00:00Z",
    "2025-02-30T12:00:00Z", "http", "openapi", "grpc", "asyncapi", "a2a", "mcp", "raw", "data",
    "1.0.0", "1.0", "01.0.0", "1.0.0-rc.1+b", "a-b", "-a", "a" * 64, "a\n", "stdout", "always",
    "eventually", [], {}, [{}], ["x"], [1], {"x": 1}, {"x": "y"}, [{"a": {"set": {"b": 1}}}],
    [{"a": {"wait": "PT1S"}, "b": {"wait": "PT1S"}}], {"use": "x"}, {"use": ""},
    {"use": "x", "basic": {"use": "y"}}, {"basic": {"username": "u", "password": "p"}},
    {"bearer": {"token": "t"}}, {"bearer": {"token": "t", "use": "x"}}, {"oauth2": {}},
    {"oidc": {"authority": "https://x.y", "scopes": ["a"]}}, {"seconds": 1}, {"seconds": 1.0},
    {"seconds": "1"}, {"weeks": 1}, {"after": "PT1S"}, {"document": {}},
    {"document": {}, "resource": {}}, {"endpoint": "https://x.y"}, {"uri": "https://x.y"},
    {"one": {"with": {"type": "x"}}}, {"any": []}, {"any": [], "until": "${ .x }"},
    {"any": [], "until": {"one": {"with": {"id": "1"}}}},
    {"any": [], "until": {"any": [], "until": "x"}}, {"all": [], "until": "x"},
    {"all": [], "one": {"with": {"type": "x"}}}, {"constant": {}}, {"linear": {}, "constant": {}},
    {"cleanup": "eventually"}, {"cleanup": "always", "after": "PT1S"},
    {"cleanup": "eventually", "after": "PT1S"}, {"type": "https://x.y/z", "status": 400},
    {"from": "PT1S", "to": "PT2S"}, {"from": ".a"}, {"as": "${ . }"}, {"amount": 1},
    {"http": {"endpoint": "https://x.y"}}, {"stdio": {"command": "c"}, "http": {}},
)  # fmt: skip


def containers(value: Any) -> Iterator[Any]:
    """Yield every object and list that holds something."""
    if isinstance(value, dict | list) and value:
        yield value
        for part in value.values() if isinstance(value, dict) else value:
            yield from containers(part)


class Mutator:
    """Breaks (or does not break) a document at a random place, repeatably."""

    def __init__(self, seed: int, documents: list[Any]) -> None:
        self.random = random.Random(seed)
        self.documents = documents
        self.parts: dict[str, list[Any]] = {}
        for document in documents:
            for found in containers(document):
                if isinstance(found, dict):
                    for key, value in found.items():
                        self.parts.setdefault(key, []).append(value)
        self.keys = sorted(self.parts)
        self.actions: list[Callable[[Any, Any], None]] = [
            self.delete, self.replace, self.replace, self.graft, self.add_known, self.add_known,
            self.add_unknown, self.rename, self.repeat,
        ]  # fmt: skip

    def mutant(self) -> Any:
        """Return one of the documents, changed in one place or a few."""
        document = copy.deepcopy(self.random.choice(self.documents))
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            target = self.random.choice(list(containers(document)))
            keys = list(target) if isinstance(target, dict) else range(len(target))
            self.random.choice(self.actions)(target, self.random.choice(list(keys)))
            if not document:
                break
        return document

    def part(self, key: str) -> Any:
        return copy.deepcopy(self.random.choice(self.parts[key]))

    def delete(self, target: Any, key: Any) -> None:
        del target[key]

    def replace(self, target: Any, key: Any) -> None:
        target[key] = copy.deepcopy(self.random.choice(STRANGERS))

    def graft(self, target: Any, key: Any) -> None:
        name = key if key in self.parts else self.random.choice(self.keys)
        target[key] = self.part(name)

    def add_known(self, target: Any, _key: Any) -> None:
        name = self.random.choice(self.keys)
        if isinstance(target, dict):
            target[name] = self.part(name)
        else:
            target.append(self.part(name))

    def add_unknown(self, target: Any, _key: Any) -> None:
        if isinstance(target, dict):
            target["stranger"] = copy.deepcopy(self.random.choice(STRANGERS))
        else:
            target.append(copy.deepcopy(self.random.choice(STRANGERS)))

    def rename(self, target: Any, key: Any) -> None:
        if isinstance(target, dict):
            target[self.random.choice([*self.keys, f"{key}s"])] = target.pop(key)

    def repeat(self, target: Any, key: Any) -> None:
        if isinstance(target, list):
            target.append(copy.deepcopy(target[key]))
