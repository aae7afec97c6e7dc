"""What an agent can read by its address: documents and executions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import msgspec

from flunq.api.views import execution_view
from flunq.errors import NotFoundError
from flunq.mcp.inspecting import event_json
from flunq.mcp.messages import dump

if TYPE_CHECKING:
    from flunq.client import Client

_WORKFLOWS = "flunq://workflows/"
_EXECUTIONS = "flunq://executions/"
_HISTORY = "/history"
_MOST_EVENTS = 500
_JSON = "application/json"
_YAML = "application/yaml"


class Resources:
    """Reads what addresses name."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list(self) -> Any:
        """Return the documents in force."""
        return [
            {
                "uri": _WORKFLOWS + quote(f"{each.namespace}/{each.name}"),
                "name": f"{each.namespace}/{each.name}",
                "title": each.title or each.name,
                "mimeType": _YAML,
            }
            for each in await self._client.workflows()
            if each.latest
        ]

    def templates(self) -> Any:
        """Return the forms of addresses that cannot be listed."""
        forms = {
            "execution": (_EXECUTIONS + "{id}", "Everything about an execution but its events."),
            "history": (_EXECUTIONS + "{id}" + _HISTORY, "The first events of an execution."),
        }
        return [
            {"uriTemplate": form, "name": name, "description": said, "mimeType": _JSON}
            for name, (form, said) in forms.items()
        ]

    async def read(self, uri: str) -> Any:
        """Return the content of an address; raises NotFoundError."""
        if uri.startswith(_WORKFLOWS):
            found = await self._client.workflow(unquote(uri.removeprefix(_WORKFLOWS)))
            return {"uri": uri, "mimeType": _YAML, "text": found.text}
        if not uri.startswith(_EXECUTIONS):
            raise NotFoundError(f"there is nothing at {uri}")
        name = uri.removeprefix(_EXECUTIONS)
        if name.endswith(_HISTORY):
            value = await self._events(unquote(name.removesuffix(_HISTORY)))
        else:
            value = msgspec.to_builtins(execution_view(await self._client.get(unquote(name))))
        return {"uri": uri, "mimeType": _JSON, "text": dump(value)}

    async def _events(self, execution: str) -> Any:
        events: list[dict[str, Any]] = []
        async for event in self._client.history(execution):
            if len(events) == _MOST_EVENTS:
                break
            events.append(event_json(event))
        return events
