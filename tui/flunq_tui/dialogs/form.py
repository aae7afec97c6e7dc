"""A form made from a schema; what is wrong is said at once, the rest by the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Label, Select, TextArea

from flunq_tui.dialogs.base import Dialog
from flunq_tui.model.form import Field, FieldError, value_of
from flunq_tui.text import harmless
from flunq_tui.widgets.status_lines import OneLine

if TYPE_CHECKING:
    from textual.app import ComposeResult


class Form(Dialog[dict[str, Any]]):
    """Returns ``{"id": text, "value": value}``; ctrl+s sends from anywhere."""

    DEFAULT_CSS = """
    Form VerticalScroll { height: auto; max-height: 80vh; }
    Form Input { height: 1; border: none; padding: 0 1; background: $boost; }
    Form Select { height: auto; }
    Form TextArea { height: 8; }
    Form #wrong { color: $error; }
    """
    BINDINGS: ClassVar = [("ctrl+s", "send", "")]

    def __init__(
        self,
        heading: str,
        fields: list[Field],
        *,
        send: str,
        with_id: str = "",
        texts: dict[str, str] | None = None,
    ) -> None:
        super().__init__(heading)
        self._fields = fields
        self._send = send
        self._with_id = with_id
        self._texts = texts or {}

    def compose(self) -> ComposeResult:
        """A label and a field for each member."""
        with Vertical():
            yield self.heading()
            with VerticalScroll(can_focus=False):
                for number, each in enumerate(self._fields):
                    yield Label(Content(_label(each)))
                    yield self._widget(each, f"field-{number}")
                if self._with_id:
                    yield Label(Content(self._with_id))
                    yield Input(id="execution", compact=True)
            yield OneLine(id="wrong")
            with Horizontal():
                yield Button(f"{self._send} (ctrl+s)", id="send", variant="primary", compact=True)

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

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes on to the next field, and sends from the last one."""
        inputs = [each for each in self.focus_chain if isinstance(each, (Input, TextArea, Select))]
        if inputs and event.input is inputs[-1]:
            self.action_send()
        else:
            self.focus_next()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Send."""
        self.action_send()

    def action_send(self) -> None:
        """Read the fields; a wrong one gets the focus."""
        texts = {each.name: self._text(number) for number, each in enumerate(self._fields)}
        try:
            value = value_of(self._fields, texts)
        except FieldError as error:
            self._complain(error)
            return
        execution = self.query_one("#execution", Input).value.strip() if self._with_id else ""
        self.dismiss({"id": execution, "value": value})

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
        self.query_one(f"#field-{names.index(error.field)}").focus()


def _label(field: Field) -> str:
    star = "*" if field.required else ""
    kind = "" if field.kind in ("string", "choice") else f" ({field.kind})"
    title = f" - {field.title}" if field.title and field.title != field.name else ""
    return harmless(f"{field.name or 'JSON'}{star}{kind}{title}")
