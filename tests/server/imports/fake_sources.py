"""Fakes of Hugging Face, Civitai and their storage on loopback ports, with the protocol of the real ones."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.server.harness import make_model_file
from tests.server.imports.fake_storage import Storage
from tests.server.outbound.loopback import Respond, send, serve

COMMIT = "1f2e3d4c5b6a79880f1e2d3c4b5a69788f1e2d3c"
REPOSITORY = "studio/ink"
FAR_FUTURE = "2999-01-01T00:00:00.000Z"


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


class FakeServers:
    """The servers of the fakes, each on a port of its own, which outlive the fakes that answer their requests."""

    def __init__(self) -> None:
        self.responders: dict[str, Respond] = {}

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Run the servers while the block runs."""
        with (
            serve(partial(self._respond, "huggingface")) as self.huggingface,
            serve(partial(self._respond, "civitai")) as self.civitai,
            serve(partial(self._respond, "storage")) as self.storage,
        ):
            yield self

    def _respond(self, name: str, handler: BaseHTTPRequestHandler) -> None:
        self.responders[name](handler)

    def create_sources(self) -> "FakeSources":
        """Create fakes that answer all requests from now on; nothing that a test did to earlier ones is left."""
        for server in (self.huggingface, self.civitai, self.storage):
            server.requests.clear()
        storage = Storage(self.storage)
        sources = FakeSources(self, storage, HuggingFace(storage), Civitai(storage))
        self.responders = {
            "huggingface": sources.huggingface.respond,
            "civitai": sources.civitai.respond,
            "storage": storage.respond,
        }
        return sources

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a registry that imports from the fakes."""
        addresses = [server.address for server in (self.huggingface, self.civitai, self.storage)]
        return {
            "import_hosts": tuple(urlsplit(address).netloc for address in addresses),
            "import_huggingface_url": self.huggingface.address,
            "import_civitai_url": self.civitai.address,
        }


@dataclass(frozen=True)
class FakeSources:
    """The fakes in the state that one test gives them."""

    servers: FakeServers
    storage: Storage
    huggingface: HuggingFace
    civitai: Civitai

    @property
    def huggingface_url(self) -> str:
        return self.servers.huggingface.address

    @property
    def civitai_url(self) -> str:
        return self.servers.civitai.address

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a registry that imports from the fakes."""
        return self.servers.settings

    def route_storage(self, respond: Respond) -> None:
        """Answer all requests to the storage by another function."""
        self.servers.responders["storage"] = respond


@contextmanager
def run_fake_sources() -> Iterator[FakeSources]:
    """Run all fakes while the block runs."""
    with FakeServers().running() as servers:
        yield servers.create_sources()
