"""YAML 1.2 (core schema) to plain values and positions, in one pass over libyaml's events.

The pass is a loop with a stack of its own, so that no nesting can exhaust the interpreter's. A
repeated anchor shares one value; what it would expand to is counted, never built.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from flunq.core.reading.limits import MAX_DEPTH, MAX_KEY, MAX_PROBLEMS, MAX_VALUES, TEXT_UNIT
from flunq.core.reading.pointers import child, join
from flunq.core.reading.problems import InvalidDocument, Problem, quoted
from flunq.core.reading.scalars import CORE, ScalarError, resolve, shown_tag

if TYPE_CHECKING:
    from flunq.core.reading.source import Spot

_TAG_DIRECTIVE = re.compile(r"^%TAG", re.MULTILINE)
_UNCLOSED = "found unexpected end of stream"
_HINTS = {
    "found character that cannot start any token": "quote the value; indent with spaces, not tabs",
    "mapping values are not allowed in this context": "quote the value if it contains ': '",
    "did not find expected ',' or '}'": "quote the value if it contains a brace or a comma",
    "did not find expected ',' or ']'": "quote the value if it contains a bracket or a comma",
    _UNCLOSED: "a quote is opened and not closed",
    "did not find expected key": "check the indentation of this line and the one before",
    "did not find expected '-' indicator": "check the indentation of this line",
    "could not find expected ':'": "a key is followed by ': '",
}
_NO_KEY = object()


class _Frame:
    """A mapping or sequence that is still open."""

    __slots__ = ("anchor", "before", "children", "height", "key", "key_place", "value")

    def __init__(self, value: Any, children: Any, anchor: str | None, before: int) -> None:
        self.value = value
        self.children = children
        self.anchor = anchor
        self.before = before
        self.height = 1
        self.key: Any = _NO_KEY
        self.key_place: tuple[int, int] = (1, 1)


class _Anchored:
    """What an anchor names: the value, its place, and what repeating it would cost."""

    __slots__ = ("height", "size", "spot", "value")

    def __init__(self, value: Any, spot: Spot, size: int, height: int) -> None:
        self.value = value
        self.spot = spot
        self.size = size
        self.height = height


def read_yaml(content: str, name: str) -> tuple[Any, Spot]:
    """Return the plain value and the spots of the one document in ``content``."""
    return _Reader(content, name).read()


class _Reader:
    """One pass over the events of one text."""

    def __init__(self, content: str, name: str) -> None:
        self.content = content
        self.name = name
        self.stack: list[_Frame] = []
        self.places: list[tuple[int, int]] = []
        self.anchors: dict[str, _Anchored | None] = {}
        self.problems: list[Problem] = []
        self.count = 0
        self.root: tuple[Any, Spot] | None = None

    def read(self) -> tuple[Any, Spot]:
        self._refuse_tag_directives()
        parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(self.content)
        try:
            self._consume(parser)
        except yaml.MarkedYAMLError as error:
            self._refuse_syntax(error)
        finally:
            parser.dispose()
        if self.root is None:
            self._refuse((1, 1), "the document is empty", "empty-document")
        if self.problems:
            raise InvalidDocument(self.problems, name=self.name)
        return self.root

    def _consume(self, parser: Any) -> None:
        next_event = parser.get_event
        handlers = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._open_mapping,
            yaml.SequenceStartEvent: self._open_sequence,
            yaml.MappingEndEvent: self._close,
            yaml.SequenceEndEvent: self._close,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._start_document,
        }
        while (event := next_event()) is not None and type(event) is not yaml.StreamEndEvent:
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)

    def _start_document(self, event: Any) -> None:
        if self.root is not None:
            self._refuse(
                _mark(event), "the text holds more than one document", "several-documents",
                "keep one document in each file",
            )  # fmt: skip

    def _open_mapping(self, event: Any) -> None:
        self._open(event, {}, {}, "map")

    def _open_sequence(self, event: Any) -> None:
        self._open(event, [], [], "seq")

    def _open(self, event: Any, value: Any, children: Any, kind: str) -> None:
        place = _mark(event)
        if event.tag not in (None, "!", CORE + kind):
            self._complain(place, f"unknown tag {shown_tag(event.tag)}", "unknown-tag")
        self._refuse_complex_key(place)
        if len(self.stack) >= MAX_DEPTH:
            self._refuse_depth(place)
        if event.anchor:
            self.anchors[event.anchor] = None
        self.stack.append(_Frame(value, children, event.anchor, self.count))
        self.places.append(place)
        self._add(1, place)

    def _close(self, _event: Any) -> None:
        frame = self.stack.pop()
        line, column = self.places.pop()
        spot = (line, column, frame.children)
        if frame.anchor:
            size = self.count - frame.before
            self.anchors[frame.anchor] = _Anchored(frame.value, spot, size, frame.height)
        self._attach(frame.value, spot, frame.height)

    def _scalar(self, event: Any) -> None:
        place = _mark(event)
        size = 1 + len(event.value) // TEXT_UNIT
        self._add(size, place)
        if self._expects_key():
            self._take_key(event.value, place)
            if event.anchor:
                spot = (*place, None)
                self.anchors[event.anchor] = _Anchored(event.value, spot, size, 0)
            return
        try:
            value = resolve(event.value, event.tag, plain=event.implicit[0])
        except ScalarError as error:
            self._complain(place, error.message, error.rule, hint=error.hint)
            value = event.value
        spot = (*place, None if isinstance(value, str) else event.value)
        if event.anchor:
            self.anchors[event.anchor] = _Anchored(value, spot, size, 0)
        self._attach(value, spot, 0)

    def _alias(self, event: Any) -> None:
        place = _mark(event)
        if event.anchor not in self.anchors:
            self._refuse(
                place, f"the alias {quoted('*' + event.anchor)} has no anchor", "unknown-alias"
            )
        anchored = self.anchors[event.anchor]
        if anchored is None:
            self._refuse(
                place, f"the alias {quoted('*' + event.anchor)} contains itself", "alias-cycle"
            )
        self._add(anchored.size, place)
        if len(self.stack) + anchored.height > MAX_DEPTH:
            self._refuse_depth(place)
        if self._expects_key():
            if not isinstance(anchored.value, str):
                self._refuse_complex_key(place)
            self._take_key(anchored.value, place)
            return
        if self._merges():
            message = "'<<' does not merge: YAML 1.2 has no merge keys"
            hint = "write the members out; an alias stands for a whole value"
            self._complain(place, message, "merge-key", hint=hint)
        self._attach(anchored.value, anchored.spot, anchored.height)

    def _expects_key(self) -> bool:
        if not self.stack:
            return False
        frame = self.stack[-1]
        return frame.key is _NO_KEY and type(frame.value) is dict

    def _merges(self) -> bool:
        """Tell whether this is the value of ``<<``, or in the list that is."""
        frames = self.stack[-2:] if self.stack and type(self.stack[-1].value) is list else []
        frame = frames[0] if frames else self.stack[-1] if self.stack else None
        return frame is not None and frame.key == "<<"

    def _take_key(self, key: str, place: tuple[int, int]) -> None:
        frame = self.stack[-1]
        if key == "":
            self._complain(place, "a key is empty", "empty-key")
        if len(key) > MAX_KEY:
            self._refuse(place, f"a key is longer than {MAX_KEY:,} characters", "key-too-long")
        if key in frame.value:
            first = frame.children[key][0]
            message = f"duplicate key {quoted(key)}; it is already used on line {first}"
            self._complain(place, message, "duplicate-key", path=child(self._pointer(), key))
        frame.key, frame.key_place = key, place

    def _attach(self, value: Any, spot: Spot, height: int) -> None:
        if not self.stack:
            self.root = value, spot
            return
        frame = self.stack[-1]
        if height >= frame.height:
            frame.height = height + 1
        if type(frame.value) is list:
            frame.value.append(value)
            frame.children.append(spot)
            return
        frame.value[frame.key] = value
        frame.children[frame.key] = (*frame.key_place, spot)
        frame.key = _NO_KEY

    def _add(self, count: int, place: tuple[int, int]) -> None:
        self.count += count
        if self.count > MAX_VALUES:
            message = f"the document has more than {MAX_VALUES:,} values, aliases expanded"
            self._refuse(place, message, "too-many-values")

    def _pointer(self) -> str:
        outer = self.stack[:-1]
        return join([len(f.value) if type(f.value) is list else str(f.key) for f in outer])

    def _pointer_here(self) -> str:
        if not self.stack:
            return ""
        frame = self.stack[-1]
        if type(frame.value) is list:
            return child(self._pointer(), len(frame.value))
        return self._pointer() if frame.key is _NO_KEY else child(self._pointer(), frame.key)

    def _complain(
        self, place: tuple[int, int], message: str, rule: str,
        *, path: str | None = None, hint: str | None = None,
    ) -> None:  # fmt: skip
        line, column = place
        where = self._pointer_here() if path is None else path
        problem = Problem(
            path=where, line=line, column=column, message=message, rule=rule, hint=hint
        )
        self.problems.append(problem)
        if len(self.problems) >= MAX_PROBLEMS:
            raise InvalidDocument(self.problems, name=self.name)

    def _refuse(
        self, place: tuple[int, int], message: str, rule: str, hint: str | None = None
    ) -> NoReturn:
        self._complain(place, message, rule, hint=hint)
        raise InvalidDocument(self.problems, name=self.name)

    def _refuse_depth(self, place: tuple[int, int]) -> NoReturn:
        self._refuse(place, f"values are nested more than {MAX_DEPTH} deep", "too-deep")

    def _refuse_complex_key(self, place: tuple[int, int]) -> None:
        if self._expects_key():
            hint = "quote the key if it begins with a bracket or brace"
            self._refuse(place, "a key has to be a text", "complex-key", hint)

    def _refuse_tag_directives(self) -> None:
        # libyaml compares each tag directive with all others: quadratic in hostile input.
        found = _TAG_DIRECTIVE.search(self.content)
        if found is not None:
            line = self.content.count("\n", 0, found.start()) + 1
            self._refuse((line, 1), "tag directives are not allowed", "unknown-tag")

    def _refuse_syntax(self, error: yaml.MarkedYAMLError) -> NoReturn:
        reason = error.problem or "the text is not YAML"
        mark = error.problem_mark or error.context_mark
        if reason == _UNCLOSED and error.context_mark:
            mark = error.context_mark  # where it was opened, not the end of the text
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = f"not valid YAML: {reason}"
        self._refuse(place, message, "yaml-syntax", _HINTS.get(reason))


def _mark(event: Any) -> tuple[int, int]:
    mark = event.start_mark
    return mark.line + 1, mark.column + 1
