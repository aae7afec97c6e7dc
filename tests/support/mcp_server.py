"""A server of the Model Context Protocol on stdin and stdout; its argument is its character.

It speaks JSON-RPC by hand, so that it can also misbehave.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

TOOLS = [{"name": "add", "inputSchema": {"type": "object"}}]


def send(message: Any) -> None:
    """Write one message."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def receive() -> dict[str, Any]:
    """Read one message; the end of stdin ends the server."""
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    message: dict[str, Any] = json.loads(line)
    return message


def ask(method: str, identity: str) -> dict[str, Any]:
    """Ask the client and wait for what it says."""
    send({"jsonrpc": "2.0", "id": identity, "method": method})
    return receive()


def result(method: str, parameters: dict[str, Any]) -> Any:
    """Return what a method is answered with; a character string is an error."""
    if method == "tools/list":
        return {"tools": TOOLS}
    name = parameters.get("name")
    given = parameters.get("arguments", {})
    match name:
        case "add":
            return {"content": [{"type": "text", "text": str(given["a"] + given["b"])}]}
        case "fail":
            return {"content": [{"type": "text", "text": "out of order"}], "isError": True}
        case "environment":
            return dict(os.environ)
        case "ask":
            return {"ping": ask("ping", "p"), "sampling": ask("sampling/createMessage", "s")}
        case "large":
            return {"text": "x" * given["size"]}
        case "child":
            child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
            return {"pid": child.pid}
        case _:
            return None


def serve(character: str) -> None:
    """Answer until stdin ends."""
    initialized = False
    while True:
        message = receive()
        method, identity = message.get("method"), message.get("id")
        if method == "initialize":
            sys.stderr.write("starting\n")
            version = "1999-01-01" if character == "old" else message["params"]["protocolVersion"]
            info = {"name": "test", "version": "1"}
            found = {"protocolVersion": version, "capabilities": {}, "serverInfo": info}
            send({"jsonrpc": "2.0", "id": identity, "result": found})
        elif method == "notifications/initialized":
            initialized = True
            if character == "chatty":
                sys.stdout.write("this is no message\n")
                send({"jsonrpc": "2.0", "method": "notifications/message", "params": {}})
        elif character == "dying":
            sys.stderr.write("cannot go on\n")
            sys.exit(3)
        elif character == "silent":
            signal.pause()
        elif not initialized:
            send({"jsonrpc": "2.0", "id": identity, "error": {"code": -1, "message": "too early"}})
        else:
            found = result(str(method), message.get("params", {}))
            if found is None:
                error = {"code": -32602, "message": "Unknown tool", "data": {"known": ["add"]}}
                send({"jsonrpc": "2.0", "id": identity, "error": error})
            else:
                send({"jsonrpc": "2.0", "id": identity, "result": found})


if __name__ == "__main__":
    if "stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    serve(sys.argv[1] if len(sys.argv) > 1 else "")
