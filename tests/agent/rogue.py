"""A registry that means harm: whatever it is asked, it answers what its script says next."""

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

Entry = dict[str, Any]


@dataclass
class Answer:
    """One manifest, or what comes in its place."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def entry(path: str, content: bytes = b"", **said: Any) -> Entry:
    """A model that is honest but for what is said of it."""
    honest = {
        "id": str(uuid5(_IDS, ascii(path))),
        "model_path": path,
        "model_type": path.partition("/")[0],
        "file_size": len(content),
        "file_hash": "sha256:" + hashlib.sha256(content).hexdigest(),
        "blake3_hash": None,
        "updated_at": "2026-11-24T12:00:00Z",
        "keep": False,
    }
    return honest | said


def manifest(*entries: Entry, **said: Any) -> Answer:
    return Answer(json.dumps({"revision": 1, "model_list": entries} | said).encode())


def no_manifests(good: list[Entry]) -> list[Answer]:
    """What no registry says, and what a broken one might."""
    whole = manifest(*good)
    return [
        Answer(b""),
        Answer(b"<html>"),
        Answer(b"{}"),
        Answer(b"null"),
        Answer(b"[" * 100_000),
        Answer(whole.body[:-10]),
        Answer(b'{"revision": 1e999, "model_list": []}'),
        Answer(b'{"revision": ' + b"9" * 5000 + b', "model_list": []}'),
        Answer(b'{"revision": 1, "model_list": [{"id": "../../x"}]}'),
        Answer(whole.body, headers={"ETag": "\u00e9\u00fc"}),
        Answer(whole.body, headers={"ETag": "x" * 5000}),
        Answer(whole.body, headers={"Content-Encoding": "gzip"}),
        Answer(whole.body, headers={"Content-Length": str(len(whole.body) + 100)}),
        Answer(b"", 302, {"Location": "http://127.0.0.1:9/"}),
        Answer(b"", 302, {"Location": "file:///etc/passwd"}),
        Answer(b"", 304),
        Answer(b'{"error_code": "unavailable"}', 503, {"Retry-After": "9" * 5000}),
        Answer(b'{"error_code": "unavailable"}', 503, {"Retry-After": "-1"}),
        Answer(b'{"error_code": ["no"], "detail": {"a": 1}, "status": "x"}', 400),
        Answer(b"\xff\xfe", 500),
        Answer(b"x", 418),
    ]


def hostile_manifests(count: int, good: list[Entry]) -> list[Answer]:
    """So many of all kinds: paths, sizes and hashes that cannot be, names twice, nothing at all, and no manifests."""
    some = random.Random(24)
    made = [*no_manifests(good), manifest(), manifest(*good, *good)]
    while len(made) < count:
        paths = some.choices(CORPUS, k=some.randrange(1, 12))
        ids = [str(uuid5(_IDS, f"{len(made)} {place}")) for place in range(len(paths))]
        entries = [entry(path, b"evil", id=each) for path, each in zip(paths, ids, strict=True)]
        for each in some.sample(entries, some.randrange(len(entries) + 1)):
            each["model_type"] = some.choice(_KINDS)
        for each in some.sample(entries, some.randrange(len(entries) + 1)):
            each["file_size"] = some.choice(_SIZES)
        for each in some.sample(entries, some.randrange(len(entries) + 1)):
            each["file_hash"] = some.choice(_HASHES)
        entries += [dict(each, model_path=each["model_path"].upper()) for each in some.sample(good, some.randrange(3))]
        entries += [entry(f"loras/wrong{len(made)}.pt", b"good" * 6)] * some.randrange(2)
        made.append(manifest(*entries, *some.choice([good, []])))
    return made


class RogueRegistry:
    """Each question for a manifest gets the next answer of ``script``; the bytes of a model are those in ``bytes_of``,
    or else are wrong.
    """

    def __init__(self, script: list[Answer], bytes_of: dict[str, bytes]) -> None:
        self.script = list(script)
        self.asked = 0
        rogue = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if "/agent/manifest" in self.path:
                    rogue.asked += 1
                    return self._send(rogue.script.pop(0) if rogue.script else manifest())
                if self.path.startswith("/bytes/"):
                    return self._send(Answer(bytes_of.get(self.path.removeprefix("/bytes/"), b"evil" * 6)))
                url = f"{rogue.url}/bytes/{self.path.split('/')[-2]}"
                ticket = {"download_url": url, "expires_at": "2099-01-01T00:00:00Z"}
                return self._send(Answer(json.dumps(ticket).encode()))

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                said = {"resend_all": True, "paused": False, "approved_removal": "f" * 64, "sync_now": True}
                self._send(Answer(json.dumps(said | {"interval_seconds": float("nan")}).encode()))

            def _send(self, answer: Answer) -> None:
                self.send_response_only(answer.status)
                for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
                    self.send_header(name, value)
                self.send_header("Connection", "close")
                self.end_headers()
                with suppress(OSError):  # whoever asked may have heard enough
                    self.wfile.write(answer.body)
                self.close_connection = True

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name in the base class
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
