"""Fakes of Hugging Face, Civitai and their storage on loopback ports, with the protocol of the real ones."""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.server.harness import make_model_file
from tests.server.outbound.loopback import LoopbackServer, Respond, send, serve
from tests.waiting import PATIENCE_SECONDS

COMMIT = "1f2e3d4c5b6a79880f1e2d3c4b5a69788f1e2d3c"
REPOSITORY = "studio/ink"
FAR_FUTURE = "2999-01-01T00:00:00.000Z"


@dataclass
class Storage:
    """Storage that serves files at addresses signed for GET, each for ``uses`` requests; ranges with a strong ETag.

    ``cut_after`` ends responses after so many bytes, as often as it has entries. Without ``says_size``, the size of a
    file is sent neither as a length nor with a range; without ``is_chunked``, only the connection's end ends it then.
    """

    server: LoopbackServer
    uses: int = 1
    cut_after: list[int] = field(default_factory=list)
    etag: str | None = '"first"'
    ranges: list[str | None] = field(default_factory=list)
    file: bytes = b""
    pictures: dict[str, bytes] = field(default_factory=dict)  # by path
    says_size: bool = True
    is_chunked: bool = True
    on_cut: Callable[[], None] = lambda: None
    on_bytes: Callable[[int], None] = lambda _: None
    _going: threading.Event = field(default_factory=threading.Event)
    _signed: dict[str, tuple[bytes, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._going.set()

    def pause(self) -> None:
        """Let downloads wait for their first byte until ``resume``."""
        self._going.clear()

    def resume(self) -> None:
        self._going.set()

    def sign(self, content: bytes) -> str:
        """Return a new signed address of this content."""
        name = f"/signed/{len(self._signed)}?X-Signature=secret"
        self._signed[name] = (content, self.uses)
        return f"{self.server.address}{name}"

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        assert handler.command == "HEAD" or self._going.wait(PATIENCE_SECONDS)
        if handler.path.startswith("/file/"):
            self._send_range(handler, self.file)
            return
        if handler.path in self.pictures:
            send(handler, 200, self.pictures[handler.path], {"Content-Type": "image/png"})
            return
        content, uses = self._signed.get(handler.path, (b"", 0))
        assert "Authorization" not in handler.headers
        if uses < 1 or handler.command == "HEAD":
            send(handler, 403, b"<Error><Code>ExpiredToken</Code></Error>", {"Content-Type": "application/xml"})
            return
        self._signed[handler.path] = (content, uses - 1)
        self._send_range(handler, content)

    def _send_range(self, handler: BaseHTTPRequestHandler, content: bytes) -> None:
        asked = handler.headers.get("Range")
        if handler.command == "GET":
            self.ranges.append(asked)
        is_same = handler.headers.get("If-Range") in (None, self.etag)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and is_same else 0
        headers = {"ETag": self.etag} if self.etag else {}
        headers |= {"Content-Type": "application/octet-stream", "Content-Length": str(len(content) - start)}
        if asked and is_same:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        if self.cut_after and handler.command == "GET":
            body = body[: self.cut_after.pop(0)]
            handler.close_connection = True
            self.on_cut()
        status = 206 if asked and is_same else 200
        if not self.says_size:
            self._send_unsized(handler, status, headers, body, is_whole=len(body) == len(content) - start)
            return
        if handler.command == "HEAD":
            send(handler, status, b"", headers)
            return
        send(handler, status, b"", headers | {"Content-Length": headers["Content-Length"]})
        for at in range(0, len(body), 100_000):
            handler.wfile.write(body[at : at + 100_000])
            self.on_bytes(at + 100_000)

    def _send_unsized(
        self, handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes, *, is_whole: bool
    ) -> None:
        """Send a response in chunks, or until the connection ends."""
        headers = {name: value for name, value in headers.items() if name != "Content-Length"}
        if "Content-Range" in headers:
            headers["Content-Range"] = headers["Content-Range"].rpartition("/")[0] + "/*"
        headers |= {"Transfer-Encoding": "chunked"} if self.is_chunked else {"Connection": "close"}
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command == "HEAD":
            return
        for at in range(0, len(body), 100_000):
            piece = body[at : at + 100_000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if self.is_chunked else piece)
        if self.is_chunked and is_whole:
            handler.wfile.write(b"0\r\n\r\n")


class HuggingFace:
    """A Hugging Face with one repository; ``refusals`` answers the next requests with a status and headers."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.commit = COMMIT  # of ``main``, the only one whose files it has
        self.files: dict[str, bytes] = {"ink.safetensors": make_model_file("ink"), "README.md": b"# Ink"}
        self.card: dict[str, Any] = {"license": "cc-by-4.0", "instance_prompt": "inkwash"}
        self.tags = ["lora", "text-to-image"]
        self.is_gated = False
        self.token: str | None = None  # gets what is gated
        self.declared_sha256: str | None = None
        self.declares_hashes = True
        self.on_request: Callable[[str], None] = lambda _: None
        self.refusals: list[tuple[int, dict[str, str]]] = []

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(handler.path).path)
        self.on_request(path)
        if self.refusals:
            status, headers = self.refusals.pop(0)
            send(handler, status, b"", headers)
        elif path in [f"/api/models/{REPOSITORY}/revision/{revision}" for revision in ("main", self.commit)]:
            info = {
                "id": REPOSITORY,
                "sha": self.commit,
                "tags": self.tags,
                "cardData": self.card,
                "gated": self.is_gated,
            }
            _send_json(handler, info)
        elif path.startswith(f"/api/models/{REPOSITORY}/tree/{self.commit}"):
            self._send_tree(handler, path.removeprefix(f"/api/models/{REPOSITORY}/tree/{self.commit}").strip("/"))
        elif found := re.fullmatch(f"/{REPOSITORY}/resolve/(?:main|{self.commit})/(.*)", path):
            self._send_file(handler, found[1])
        else:
            _send_json(handler, {"error": "Repository not found"}, 401, {"X-Error-Code": "RepoNotFound"})

    def _send_tree(self, handler: BaseHTTPRequestHandler, folder: str) -> None:
        query = parse_qs(urlsplit(handler.path).query)
        below = {name: content for name, content in self.files.items() if not folder or name.startswith(f"{folder}/")}
        is_deep = query["recursive"] == ["true"]
        entries = [
            {
                "type": "file",
                "path": name,
                "size": len(content),
                "oid": "0" * 40,
            }
            | ({"lfs": self._describe(content)} if self.declares_hashes else {})
            for name, content in below.items()
            if is_deep or name.removeprefix(f"{folder}/").count("/") == 0
        ]
        _send_json(handler, entries)

    def _describe(self, content: bytes) -> dict[str, Any]:
        return {"oid": self.declared_sha256 or hashlib.sha256(content).hexdigest(), "size": len(content)}

    def _send_file(self, handler: BaseHTTPRequestHandler, name: str) -> None:
        if self.is_gated and not _has_token(handler, self.token):
            send(handler, 401, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."})
        elif name not in self.files:
            send(handler, 404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            headers = {"X-Repo-Commit": self.commit, "Location": self.storage.sign(self.files[name])}
            send(handler, 302, b"", headers)


class Civitai:
    """A Civitai with one version of one model; ``download_refusal`` is sent instead of the file."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.content = make_model_file("pony")
        self.version: dict[str, Any] = {
            "id": 222,
            "modelId": 111,
            "name": "v2.0",
            "baseModel": "Pony",
            "trainedWords": ["inkwash", " ink wash style, "],
            "availability": "Public",
            "model": {"name": "Ink\u202e Portraits", "type": "LORA"},
            "files": [
                {
                    "id": 333,
                    "name": "ink:portraits?.safetensors",
                    "type": "Model",
                    "sizeKB": 0.1,
                    "primary": True,
                    "hashes": {"SHA256": hashlib.sha256(self.content).hexdigest().upper(), "AutoV2": "0011223344"},
                },
                {"id": 334, "name": "training.zip", "type": "Training Data", "sizeKB": 9.0, "hashes": {}},
            ],
        }
        self.versions: list[dict[str, Any]] = [{"id": 222}, {"id": 221}]  # newest first
        self.download_refusal: tuple[int, dict[str, Any]] | None = None
        self.token: str | None = None  # downloads in spite of the refusal
        self.on_request: Callable[[str], None] = lambda _: None

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        path = urlsplit(handler.path).path
        self.on_request(path)
        if path == "/api/v1/models/111":
            _send_json(handler, {"id": 111, "name": "Ink", "modelVersions": self.versions})
        elif path == "/api/v1/model-versions/222":
            _send_json(handler, self.version)
        elif path == "/api/download/models/222" and self.download_refusal and not _has_token(handler, self.token):
            _send_json(handler, self.download_refusal[1], self.download_refusal[0])
        elif path == "/api/download/models/222":
            send(handler, 307, b"", {"Location": self.storage.sign(self.content), "Cache-Control": "no-store"})
        else:
            _send_json(handler, {"error": "No model with id"}, 404)


def _has_token(handler: BaseHTTPRequestHandler, token: str | None) -> bool:
    """Return whether a request has this token."""
    return token is not None and handler.headers.get("Authorization") == f"Bearer {token}"


def _send_json(
    handler: BaseHTTPRequestHandler, document: Any, status: int = 200, headers: dict[str, str] | None = None
) -> None:
    """Send a JSON document."""
    body = json.dumps(document).encode()
    send(handler, status, body, {"Content-Type": "application/json"} | (headers or {}))


@dataclass
class FakeSources:
    """The running fakes, each on a port of its own."""

    storage: Storage
    huggingface: HuggingFace
    civitai: Civitai
    huggingface_url: str
    civitai_url: str
    _responders: dict[str, Respond]

    def route(self, name: str, respond: Respond) -> None:
        """Answer all requests to the ``storage`` by another function."""
        self._responders[name] = respond

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a registry that imports from the fakes."""
        addresses = (self.huggingface_url, self.civitai_url, self.storage.server.address)
        return {
            "import_hosts": tuple(urlsplit(address).netloc for address in addresses),
            "import_huggingface_url": self.huggingface_url,
            "import_civitai_url": self.civitai_url,
        }


@contextmanager
def run_fake_sources() -> Iterator[FakeSources]:
    """Run all fakes while the block runs."""
    responders: dict[str, Respond] = {}
    with ExitStack() as stack:
        storage = Storage(stack.enter_context(serve(lambda each: responders["storage"](each))))  # noqa: PLW0108  # late
        huggingface, civitai = HuggingFace(storage), Civitai(storage)
        responders["storage"] = storage.respond
        first, second = (stack.enter_context(serve(each.respond)) for each in (huggingface, civitai))
        yield FakeSources(storage, huggingface, civitai, first.address, second.address, responders)
