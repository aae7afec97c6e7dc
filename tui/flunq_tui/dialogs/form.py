"""A form made from a schema; what is wrong is said at once, the rest by the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Label, Select, TextArea

from flunq_tui.dialogs.base import Dialog
from flunq_tui.model.folding import pretty
from flunq_tui.model.form import Field, FieldError, complain, value_of
from flunq_tui.text import harmless
from flunq_tui.widgets.status_lines import OneLine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.app import ComposeResult
    from textual.events import Resize

_AROUND = 5
"""Lines of the dialog around the fields: its border, heading, complaint and buttons."""


class Form(Dialog[dict[str, Any]]):
    """Returns ``{"id": text, "value": value}``; ctrl+s sends from anywhere, f2 edits it as JSON."""

    DEFAULT_CSS = """
    Form VerticalScroll { height: auto; }
    Form Input { height: 1; border: none; padding: 0 1; background: $boost; }
    Form Select { height: auto; }
    Form TextArea { height: 8; }
    Form #wrong { color: $error; }
    Form .section { text-style: bold; color: $primary; }
    """
    BINDINGS: ClassVar = [("ctrl+s", "send", ""), ("f2", "edit", "")]

    def __init__(
        self,
        heading: str,
        fields: list[Field],
        *,
        send: str,
        with_id: str = "",
        execution: str = "",
        texts: dict[str, str] | None = None,
        schema: Any = None,
        edit: Callable[[str, str], Awaitable[str | None]] | None = None,
        check_id: Callable[[str], str] = lambda name: "",
    ) -> None:
        super().__init__(heading)
        self._fields = fields
        self._send = send
        self._with_id = with_id
        self._execution = execution
        self._texts = texts or {}
        self._schema = schema
        self._edit = edit
        self._check_id = check_id
        self._refused = ""
        """What was edited as JSON and could not be sent: the next edit goes on with it."""

    def compose(self) -> ComposeResult:
        """A label and a field for each member."""
        with Vertical():
            yield self.heading()
            with VerticalScroll(can_focus=False):
                section = ""
                for number, each in enumerate(self._fields):
                    if each.section != section:
                        section = each.section
                        yield Label(Content(harmless(section)), classes="section")
                    yield Label(Content(_label(each)))
                    yield self._widget(each, f"field-{number}")
                if self._with_id:
                    yield Label(Content(self._with_id))
                    yield Input(self._execution, id="execution", compact=True)
            yield OneLine(id="wrong")
            with Horizontal():
                yield Button(f"{self._send} (ctrl+s)", id="send", variant="primary", compact=True)
                if self._edit is not None:
                    yield Button("JSON (f2)", id="edit", compact=True)

    def _widget(self, field: Field, name: str) -> Input | Select[str] | TextArea:
        text = self._texts.get(field.name, field.default)
        if field.kind == "choice":
            chosen = text if text in field.choices else Select.NULL
            return Select(
                [(Content(harmless(each)), each) for each in field.choices],
                value=chosen,
                allow_blank=True,
                compact=True,
                id=name,
            )
        if field.kind == "json":
            return TextArea(text, id=name, soft_wrap=True, compact=True)
        return Input(text, id=name, compact=True)

    def on_resize(self, event: Resize) -> None:
        """Leave room for what is wrong and for the buttons, however many fields there are."""
        room = event.size.height * 9 // 10 - _AROUND
        self.query_one(VerticalScroll).styles.max_height = max(1, room)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes on to the next field, and sends from the last one."""
        inputs = [each for each in self.focus_chain if isinstance(each, (Input, TextArea, Select))]
        if inputs and event.input is inputs[-1]:
            self.action_send()
        else:
            self.focus_next()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Send, or edit."""
        if event.button.id == "edit":
            self.action_edit()
        else:
            self.action_send()

    @on(Input.Changed)
    @on(TextArea.Changed)
    @on(Select.Changed)
    def _forget_refused(self) -> None:
        """What is typed into the fields counts from now on."""
        self._refused = ""

    def action_send(self) -> None:
        """Read the fields; a wrong one gets the focus."""
        try:
            value = value_of(self._fields, self._all_texts())
        except FieldError as error:
            self._complain(error)
            return
        self._finish(value)

    def _finish(self, value: Any) -> None:
        try:
            complain(self._schema, value)
        except FieldError as error:
            self._complain(error)
            return
        execution = self.query_one("#execution", Input).value.strip() if self._with_id else ""
        if execution and (problem := self._check_id(execution)):
            self._complain(FieldError("", problem))
            self.query_one("#execution").focus()
            return
        self.dismiss({"id": execution, "value": value})

    def action_edit(self) -> None:
        """Let somebody write the whole value, and send it."""
        if self._edit is not None:
            self.run_worker(self._edit_all(), exit_on_error=False)

    async def _edit_all(self) -> None:
        assert self._edit is not None
        text = await self._edit(self._heading, self._refused or self._draft())
        if text is None:
            return
        self._refused = text
        try:
            self._finish(msgspec.json.decode(text))
        except msgspec.DecodeError as error:
            self._complain(FieldError("", str(error)))

    def _draft(self) -> str:
        """Return what is filled in so far as JSON, as far as it can be understood."""
        texts = self._all_texts()
        if "" in texts:
            return texts[""]  # the one field is the value
        for _ in (*self._fields, None):
            try:
                return pretty(value_of(self._fields, texts)) + "\n"
            except FieldError as error:
                texts[error.field] = self._filler(error.field)
        return "{}\n"

    def _filler(self, name: str) -> str:
        field = next(each for each in self._fields if each.name == name)
        return field.choices[0] if field.choices else _FILLER[field.kind]

    def _all_texts(self) -> dict[str, str]:
        return {each.name: self._text(number) for number, each in enumerate(self._fields)}

    def _text(self, number: int) -> str:
        widget = self.query_one(f"#field-{number}")
        if isinstance(widget, TextArea):
            return widget.text
        if isinstance(widget, Select):
            return "" if widget.is_blank() else str(widget.value)
        assert isinstance(widget, Input)
        return widget.value

    def _complain(self, error: FieldError) -> None:
        name = f"{error.field}: " if error.field else ""
        self.query_one("#wrong", OneLine).show_parts((f"{name}{error.problem}", "$error"))
        names = [each.name for each in self._fields]
        if error.field in names:
            self.query_one(f"#field-{names.index(error.field)}").focus()


def _label(field: Field) -> str:
    star = "*" if field.required else ""
    about = [field.kind] if field.kind not in ("string", "choice") else []
    about += [field.limits] if field.limits else []
    kind = f" ({', '.join(about)})" if about else ""
    name = field.path[-1] if field.path else "JSON"
    title = f" - {field.title}" if field.title and field.title != name else ""
    indent = "  " if field.section else ""
    return harmless(f"{indent}{name}{star}{kind}{title}")


_FILLER = {"integer": "0", "number": "0", "json": "null"}
"""What stands in a draft for what nobody has filled in yet."""
