"""A malicious registry that answers requests for the manifest from a script."""

import hashlib
import json
import random
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from uuid import UUID, uuid5

from tests.wire.test_paths import CORPUS

_IDS = UUID("00000000-0000-4000-8000-000000000000")
_KINDS = ("loras", "checkpoints", "unet", "custom_nodes", "..", "/", "", ".modelyard", "configs", "new\0type", "CON")
_SIZES = (0, -1, 1, 999, 17 * 1024**4, 2**63, 2**200)
_HASHES = ("", "sha256:", "sha256:../../../etc/passwd", "md5:" + "a" * 32, "sha256:" + "A" * 64, "sha256:" + "0" * 64)

EntryJson = dict[str, Any]


@dataclass
class CannedResponse:
    """A scripted response: a manifest, or something malformed."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None  # nothing is sent before this is set


def build_entry(path: str, content: bytes = b"", **overrides: Any) -> EntryJson:
    """Return a valid manifest entry with the given fields overridden."""
    valid = {
        "id": str(uuid5(_IDS, ascii(path))),
        "version": 1,
        "model_path": path,
        "model_type": path.partition("/")[0],
        "file_size": len(content),
        "file_hash": "sha256:" + hashlib.sha256(content).hexdigest(),
        "blake3_hash": None,
        "updated_at": "2026-11-24T12:00:00Z",
        "keep": False,
    }
    return valid | overrides


def build_manifest_response(*entries: EntryJson, **overrides: Any) -> CannedResponse:
    return CannedResponse(json.dumps({"revision": 1, "model_list": entries} | overrides).encode())


def list_malformed_responses(good: list[EntryJson]) -> list[CannedResponse]:
    """Return responses that are not valid manifests."""
    valid = build_manifest_response(*good)
    return [
        CannedResponse(b""),
        CannedResponse(b"<html>"),
        CannedResponse(b"{}"),
        CannedResponse(b"null"),
        CannedResponse(b"[" * 100_000),
        CannedResponse(valid.body[:-10]),
        CannedResponse(b'{"revision": 1e999, "model_list": []}'),
        CannedResponse(b'{"revision": ' + b"9" * 5000 + b', "model_list": []}'),
        CannedResponse(b'{"revision": 1, "model_list": [{"id": "../../x"}]}'),
        CannedResponse(valid.body, headers={"ETag": "\u00e9\u00fc"}),
        CannedResponse(valid.body, headers={"ETag": "x" * 5000}),
        CannedResponse(valid.body, headers={"Content-Encoding": "gzip"}),
        CannedResponse(valid.body, headers={"Content-Length": str(len(valid.body) + 100)}),
        CannedResponse(b"", 302, {"Location": "http://127.0.0.1:9/"}),
        CannedResponse(b"", 302, {"Location": "file:///etc/passwd"}),
        CannedResponse(b"", 304),
        CannedResponse(b'{"error_code": "unavailable"}', 503, {"Retry-After": "9" * 5000}),
        CannedResponse(b'{"error_code": "unavailable"}', 503, {"Retry-After": "-1"}),
        CannedResponse(b'{"error_code": ["no"], "detail": {"a": 1}, "status": "x"}', 400),
        CannedResponse(b"\xff\xfe", 500),
        CannedResponse(b"x", 418),
    ]


def generate_hostile_manifests(count: int, good: list[EntryJson]) -> list[CannedResponse]:
    """Return responses with invalid paths, sizes and hashes, duplicate names, no models, or no valid manifest."""
    rng = random.Random(24)
    responses = [*list_malformed_responses(good), build_manifest_response(), build_manifest_response(*good, *good)]
    while len(responses) < count:
        paths = rng.choices(CORPUS, k=rng.randrange(1, 12))
        ids = [str(uuid5(_IDS, f"{len(responses)} {place}")) for place in range(len(paths))]
        entries = [build_entry(path, b"evil", id=each) for path, each in zip(paths, ids, strict=True)]
        for each in rng.sample(entries, rng.randrange(len(entries) + 1)):
            each["model_type"] = rng.choice(_KINDS)
        for each in rng.sample(entries, rng.randrange(len(entries) + 1)):
            each["file_size"] = rng.choice(_SIZES)
        for each in rng.sample(entries, rng.randrange(len(entries) + 1)):
            each["file_hash"] = rng.choice(_HASHES)
        entries += [dict(each, model_path=each["model_path"].upper()) for each in rng.sample(good, rng.randrange(3))]
        entries += [build_entry(f"loras/wrong{len(responses)}.pt", b"good" * 6)] * rng.randrange(2)
        responses.append(build_manifest_response(*entries, *rng.choice([good, []])))
    return responses


def to_response(answer: dict[str, Any] | CannedResponse) -> CannedResponse:
    """Return a scripted response as it is, or one with this JSON."""
    return answer if isinstance(answer, CannedResponse) else CannedResponse(json.dumps(answer).encode())


class MaliciousRegistry:
    """A registry whose manifest requests get the responses of ``script`` in order.

    A download returns the content in ``contents``, else wrong content. ``download_urls`` overrides download URLs.
    Requests for pictures are answered with that of their hash in ``pictures``, else ``picture``, and counted.
    ``heartbeats`` has the bodies of heartbeats.
    """

    def __init__(
        self, script: list[CannedResponse], contents: dict[str, bytes], download_urls: dict[str, str] | None = None
    ) -> None:
        self.script = list(script)
        self.manifest_requests = 0
        self.picture = CannedResponse(b"", 404)
        self.pictures: dict[str, CannedResponse] = {}
        self.picture_requests = 0
        self.heartbeats: list[dict[str, Any]] = []
        self._download_urls = download_urls or {}
        registry_server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if "/agent/manifest" in self.path:
                    registry_server.manifest_requests += 1
                    return self._send(
                        registry_server.script.pop(0) if registry_server.script else build_manifest_response()
                    )
                if "/previews/" in self.path:
                    return self._send(registry_server.get_picture(self.path))
                if self.path.startswith("/bytes/"):
                    return self._send(CannedResponse(contents.get(self.path.removeprefix("/bytes/"), b"evil" * 6)))
                ticket = registry_server.build_ticket(self.path.split("/")[-2])
                return self._send(CannedResponse(json.dumps(ticket).encode()))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = registry_server.answer_post(self.path, body)
                self._send(to_response(answer))

            def _send(self, response: CannedResponse) -> None:
                if response.hold is not None:
                    response.hold.wait()
                self.send_response_only(response.status)
                for name, value in ({"Content-Length": str(len(response.body))} | response.headers).items():
                    self.send_header(name, value)
                self.send_header("Connection", "close")
                self.end_headers()
                with suppress(OSError):  # the client may have closed the connection
                    self.wfile.write(response.body)
                self.close_connection = True

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name in the base class
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def build_ticket(self, model_id: str) -> dict[str, Any]:
        """Build the download ticket of a model."""
        url = self._download_urls.get(model_id, f"{self.url}/bytes/{model_id}")
        return {"download_url": url, "expires_at": "2099-01-01T00:00:00Z"}

    def answer_post(self, path: str, body: dict[str, Any]) -> "dict[str, Any] | CannedResponse":
        """Answer a request for several download tickets; any other is recorded as a heartbeat."""
        if path.endswith("/models/download-batch"):
            tickets = [self.build_ticket(each["model_id"]) for each in body["download_list"]]
            return {"result_list": [{"status": 200} | ticket for ticket in tickets]}
        self.heartbeats.append(body)
        answer = {"resend_all": True, "paused": False, "approved_removal": "f" * 64, "sync_now": True}
        return answer | {"interval_seconds": float("nan")}

    def get_picture(self, path: str) -> CannedResponse:
        """Count a request for a picture, and return its response."""
        self.picture_requests += 1
        return self.pictures.get(path.partition("?")[0].rpartition("/")[2], self.picture)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
