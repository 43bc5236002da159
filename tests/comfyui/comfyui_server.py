"""A fake ComfyUI: an HTTP server with its documented routes and listing rules, whose queue a test sets."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.sync.comfy_listing import ComfyListing


class ComfyUIServer:
    """A fake ComfyUI that is installed in ``base`` and listens on 127.0.0.1.

    ``is_rendering`` and ``queued`` put something into its queue; ``asked`` lists every request as ``METHOD path``.
    """

    def __init__(self, base: Path, version: str = "0.3.64") -> None:
        self.listing = ComfyListing(base).start()
        self.version = version
        self.is_rendering = False
        self.queued: list[dict[str, Any]] = []  # queued prompts
        self.asked: list[str] = []
        self.freed: list[Any] = []
        comfyui = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                comfyui.asked.append(f"GET {self.path}")
                document = comfyui.answer(self.path.removeprefix("/api"))
                self._send(404 if document is None else 200, document)

            def do_POST(self) -> None:
                comfyui.asked.append(f"POST {self.path}")
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path.removeprefix("/api") != "/free":
                    self._send(404, None)
                    return
                comfyui.freed.append(json.loads(body))
                self._send(200, None)

            def _send(self, status: int, document: object) -> None:
                body = b"" if document is None else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name in the base class
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str) -> object:
        """Return the response of a route, or None for 404; keys are compared as they are, so aliases are unknown."""
        parts = path.strip("/").split("/")
        match parts:
            case ["system_stats"]:
                return {"system": {"os": "posix", "comfyui_version": self.version}, "devices": []}
            case ["queue"]:
                pending = [[number, f"id {number}", prompt, {}, []] for number, prompt in enumerate(self.queued)]
                return {"queue_running": [[0, "a prompt"]] if self.is_rendering else [], "queue_pending": pending}
            case ["models"]:
                return [key for key in self.listing.folders if key not in ("configs", "custom_nodes")]
            case ["models", key]:
                return self.listing.list_names(key) if key in self.listing.folders else None
            case ["experiment", "models"]:
                return self.listing.build_api_response()
            case _:
                return None
