"""A server that keeps what is posted to it, for tests that do not await."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 40.0
TRACES = "/v1/traces"


class Collector:
    """What was posted: path, headers in lower case, body."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        self.refusals = 0
        """So many of the next batches of spans are answered with 503."""
        self.url = ""
        self._news = threading.Condition()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Keep a request; return the status of its answer."""
        with self._news:
            if self.refusals and path == TRACES:
                self.refusals -= 1
                return 503
            self.posts.append((path, headers, body))
            self._news.notify_all()
        return 200

    def until(self, done: Callable[[], bool]) -> None:
        """Return once something holds of what was posted."""
        with self._news:
            assert self._news.wait_for(done, PATIENCE), self.posts

    def bodies(self, path: str) -> list[Any]:
        """Return what was posted to a path."""
        return [json.loads(body) for each, _, body in [*self.posts] if each == path]

    def spans(self) -> list[dict[str, Any]]:
        """Return the spans of all batches."""
        return [
            span
            for body in self.bodies(TRACES)
            for resource in body["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listen on a free port of this machine."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(collector.take(self.path, headers, body))
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            """Tests have no use for it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
