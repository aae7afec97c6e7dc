"""An agent that speaks the Model Context Protocol with ``flunq mcp``, message by message."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from tests.support.cli import Flunq


class Agent:
    """A session over the pipes of a process."""

    def __init__(self, flunq: Flunq, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "flunq", "mcp", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=flunq.home,
            env=flunq.environment(),
        )
        self._count = 0
        self.notifications: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self.initialized = self.ask("initialize", protocolVersion="2025-06-18", capabilities={})
        self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self.code = self._process.wait(30)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    def write(self, message: Any) -> None:
        """Send a message, or bytes as they are."""
        assert self._process.stdin is not None
        line = message if isinstance(message, bytes) else json.dumps(message).encode()
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def read(self) -> dict[str, Any]:
        """Return the next message that answers something."""
        assert self._process.stdout is not None
        while True:
            line = self._process.stdout.readline()
            assert line, self._process.stderr.read() if self._process.stderr else b""
            message: dict[str, Any] = json.loads(line)
            if "method" not in message:
                return message
            self.notifications.append(message)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a request and return its answer: the result, or the error."""
        self._count += 1
        request = {"jsonrpc": "2.0", "id": self._count, "method": method, "params": parameters}
        self.write(request)
        answer = self.read()
        assert answer["id"] == self._count
        found: dict[str, Any] = answer["result"] if "result" in answer else answer["error"]
        return found

    def call(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a tool."""
        return self.ask("tools/call", name=name, arguments=arguments)

    def found(self, name: str, /, **arguments: Any) -> Any:
        """Call a tool and return what it found."""
        result = self.call(name, **arguments)
        assert not result["isError"], result
        return result["structuredContent"]
