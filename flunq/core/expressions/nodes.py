"""The syntax tree of a jq program."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from flunq.core.json import JSON


class Node(msgspec.Struct, frozen=True):
    """Base of all nodes."""


class Identity(Node, frozen=True):
    """The input itself: ``.``."""


class Literal(Node, frozen=True):
    """A constant."""

    value: JSON
    exact: bool = True
    """False for a number whose text jq would keep in another form, such as ``1.50``."""


class Text(Node, frozen=True):
    """A string with interpolations, through a format or ``text``."""

    parts: tuple[str | Node, ...]
    format: str


class Format(Node, frozen=True):
    """A format applied to the input: ``@base64``."""

    name: str
    offset: int


class Variable(Node, frozen=True):
    """A variable: ``$name``."""

    name: str
    offset: int


class Location(Node, frozen=True):
    """The place in the source: ``$__loc__``."""

    line: int


class Index(Node, frozen=True):
    """A member of the target: ``.name``, ``.[key]``, and either with ``?``."""

    target: Node
    key: Node
    optional: bool


class Slice(Node, frozen=True):
    """A part of an array or string: ``.[start:end]``."""

    target: Node
    start: Node | None
    end: Node | None
    optional: bool


class Iterate(Node, frozen=True):
    """All members of the target: ``.[]``."""

    target: Node
    optional: bool


class Try(Node, frozen=True):
    """``try body catch handler``, or ``body?`` without a handler."""

    body: Node
    handler: Node | None


class Negate(Node, frozen=True):
    """Arithmetic minus in front of a term."""

    operand: Node


class Array(Node, frozen=True):
    """All outputs of the body, collected."""

    body: Node | None


class Object(Node, frozen=True):
    """An object construction; a value of None stands for ``.[key]``."""

    pairs: tuple[tuple[Node, Node | None], ...]


class Binary(Node, frozen=True):
    """Arithmetic, comparison, ``and``, ``or`` and ``//``."""

    operator: str
    left: Node
    right: Node


class Assign(Node, frozen=True):
    """An update of paths: ``=``, ``|=``, ``+=`` and the like."""

    operator: str
    target: Node
    value: Node


class Pipe(Node, frozen=True):
    """``left | right``."""

    left: Node
    right: Node


class Comma(Node, frozen=True):
    """``left , right``."""

    left: Node
    right: Node


class If(Node, frozen=True):
    """A condition; without ``else`` the input passes."""

    condition: Node
    then: Node
    otherwise: Node | None


class VariablePattern(Node, frozen=True):
    """Binds the whole value."""

    name: str


class ArrayPattern(Node, frozen=True):
    """Destructures an array."""

    items: tuple[Pattern, ...]


class ObjectPattern(Node, frozen=True):
    """Destructures an object: (variable to bind or None, key, pattern or None)."""

    items: tuple[tuple[str | None, Node, Pattern | None], ...]


Pattern: TypeAlias = VariablePattern | ArrayPattern | ObjectPattern


class Bind(Node, frozen=True):
    """``source as pattern ?// pattern | body``."""

    source: Node
    patterns: tuple[Pattern, ...]
    body: Node


class Reduce(Node, frozen=True):
    """``reduce source as pattern (start; update)``."""

    source: Node
    patterns: tuple[Pattern, ...]
    start: Node
    update: Node


class Foreach(Node, frozen=True):
    """``foreach source as pattern (start; update; extract)``."""

    source: Node
    patterns: tuple[Pattern, ...]
    start: Node
    update: Node
    extract: Node | None


class Function(Node, frozen=True):
    """A definition and the program that may use it; ``$name`` parameters keep the dollar."""

    name: str
    parameters: tuple[str, ...]
    body: Node
    rest: Node


class Call(Node, frozen=True):
    """A call of a builtin, a definition or a closure parameter."""

    name: str
    arguments: tuple[Node, ...]
    offset: int


class Label(Node, frozen=True):
    """``label $name | body``."""

    name: str
    body: Node


class Break(Node, frozen=True):
    """``break $name``."""

    name: str
    offset: int
