"""A receiver of webhooks on a loopback port, which records what it gets and answers as a test says."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import PATIENCE_SECONDS


@dataclass(frozen=True)
class Message:
    """A request that the receiver got."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


class Receiver(ThreadingHTTPServer):
    """Answers the next requests with ``answers`` (status and headers), and all others with 204.

    While it is paused, it reads requests and does not answer.
    """

    daemon_threads = True

    def __init__(self) -> None:
        messages = self.messages = list[Message]()
        answers = self.answers = list[tuple[int, dict[str, str]]]()
        going = self._going = threading.Event()
        arrived = self.arrived = threading.Semaphore(0)
        going.set()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                messages.append(Message({name.lower(): value for name, value in self.headers.items()}, body))
                arrived.release()
                assert going.wait(PATIENCE_SECONDS)
                status, headers = answers.pop(0) if answers else (204, {})
                self.send_response(status)
                for name, value in ({"Content-Length": "0"} | headers).items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, _format: str, *args: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def host(self) -> str:
        """The host and port as the operator lists them."""
        return f"127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/hooks"

    def pause(self) -> None:
        self._going.clear()

    def resume(self) -> None:
        self._going.set()

    def wait_for_message(self) -> Message:
        """Wait for one more message, and return the newest."""
        assert self.arrived.acquire(timeout=PATIENCE_SECONDS)
        return self.messages[-1]


@contextmanager
def run_receiver() -> Iterator[Receiver]:
    """Run a receiver in threads while the block runs."""
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.resume()
            receiver.shutdown()
            thread.join()
