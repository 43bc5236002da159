"""A server on 127.0.0.1 with scripted responses."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import PATIENCE_SECONDS


class Responses:
    """The scripted responses of a server, the last one of them repeated, and the requests that it received."""

    def __init__(self) -> None:
        self.script: list[tuple[int, dict[str, str], bytes]] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.is_held = False  # after the body, the connection stays open
        self.may_close = threading.Event()

    def add(self, status: int, body: Any = None, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.script.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, content))


@contextmanager
def run_scripted_server(responses: Responses) -> Iterator[str]:
    """Run a server that sends these responses while the block runs, and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            responses.requests.append((self.command, self.path, dict(self.headers), body))
            status, headers, content = responses.script.pop(0) if len(responses.script) > 1 else responses.script[0]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # the client may have closed the connection
                self.wfile.write(content)
            if responses.is_held:
                responses.may_close.wait(PATIENCE_SECONDS)

        do_GET = do_POST = do_PUT = do_DELETE = respond  # noqa: N815 - names that the standard library looks for

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        responses.may_close.set()
        server.shutdown()
        thread.join()
        server.server_close()
