"""A server of the Model Context Protocol with one tool, for ``tools.yaml``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

TOOL = {
    "name": "count_words",
    "description": "Counts the words of a text",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
}


def answer(method: str, parameters: dict[str, Any]) -> Any:
    """Return the result of a request, None for methods that are not offered."""
    if method == "initialize":
        return {
            "protocolVersion": parameters["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "tools", "version": "1.0.0"},
        }
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        counts = Counter(parameters["arguments"]["text"].split())
        content = [{"type": "text", "text": json.dumps(counts)}]
        return {"content": content, "structuredContent": counts}
    return None


def main() -> None:
    """Answer one request a line until stdin ends."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        result = answer(message["method"], message.get("params", {}))
        reply = {"jsonrpc": "2.0", "id": message["id"]}
        if result is None:
            reply["error"] = {"code": -32601, "message": f"there is no {message['method']}"}
        else:
            reply["result"] = result
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
