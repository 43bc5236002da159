"""A fake ComfyUI: an HTTP server with its documented routes and listing rules, whose queue a test sets."""

import json
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.sync.comfy_listing import ComfyListing


class ComfyUIServer:
    """A fake ComfyUI that is installed in ``base`` and listens on 127.0.0.1.

    ``is_rendering``, ``executed`` and ``queued`` put something into its queue, ``end_prompt`` into its history. Each
    prompt has ``extra_data``. ``asked`` lists every request as ``METHOD path``.
    """

    def __init__(self, base: Path, version: str = "0.3.64") -> None:
        self.listing = ComfyListing(base).start()
        self.version = version
        self.is_rendering = False
        self.queued: list[dict[str, Any]] = []  # queued prompts
        self.executed: list[dict[str, Any]] = []  # prompts that it executes
        self.prompt_id = ""  # that of each prompt, if their client chooses the same one again
        self.history: dict[str, Any] = {}
        self.extra_data: dict[str, Any] = {}
        self.object_info: dict[str, Any] | None = None
        self.refused: set[str] = set()  # first parts of the paths that it answers with 404, as a proxy may
        self.silent: set[str] = set()  # first parts of the paths that it does not answer, as when it is busy
        self.asked: list[str] = []
        self.freed: list[Any] = []
        self._has_ended = threading.Event()
        comfyui = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                comfyui.asked.append(f"GET {self.path}")
                if self.path.split("/")[1] in comfyui.silent:
                    comfyui._has_ended.wait()
                    return
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
        self._has_ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _build_entries(self, name: str, prompts: list[dict[str, Any]]) -> list[Any]:
        """Return entries of the queue, each with the id that its client chose, or else one of its own."""
        return [
            [number, self.prompt_id or f"{name} {number}", prompt, self.extra_data, []]
            for number, prompt in enumerate(prompts)
        ]

    def end_prompt(self, prompt: dict[str, Any], ended_at: datetime | None) -> None:
        """Add a prompt to its history, with the time at which it ended; None: without times, as old versions."""
        [entry] = self._build_entries(f"ended {len(self.history)}", [prompt])
        times = [] if ended_at is None else [["execution_success", {"timestamp": int(ended_at.timestamp() * 1000)}]]
        status = {"status_str": "success", "completed": True, "messages": times}
        self.history[entry[1]] = {"prompt": entry, "outputs": {}, "status": status, "meta": {}}

    def answer(self, path: str) -> object:
        """Return the response of a route, or None for 404; keys are compared as they are, so aliases are unknown."""
        address = urlsplit(path)
        parts = address.path.strip("/").split("/")
        if parts[0] in self.refused:
            return None
        match parts:
            case ["system_stats"]:
                return {"system": {"os": "posix", "comfyui_version": self.version}, "devices": []}
            case ["queue"]:
                running = self._build_entries("running", self.executed) + ([[0, "a prompt"]] * self.is_rendering)
                return {"queue_running": running, "queue_pending": self._build_entries("pending", self.queued)}
            case ["history"]:
                [items] = parse_qs(address.query).get("max_items", ["10000"])
                return dict(list(self.history.items())[-int(items) :])
            case ["object_info"]:
                return self.object_info
            case ["models"]:
                return [key for key in self.listing.folders if key not in ("configs", "custom_nodes")]
            case ["models", key]:
                return self.listing.list_names(key) if key in self.listing.folders else None
            case ["experiment", "models"]:
                return self.listing.build_api_response()
            case _:
                return None
