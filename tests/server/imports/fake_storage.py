"""A fake of the storage to which Hugging Face and Civitai redirect downloads."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from uuid import uuid4

from tests.server.outbound.loopback import LoopbackServer, send
from tests.waiting import PATIENCE_SECONDS


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
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # of the next downloads
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
        name = f"/signed/{uuid4().hex}?X-Signature=secret"
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
        if self.refusals and handler.command == "GET":
            status, headers = self.refusals.pop(0)
            send(handler, status, b"", headers)
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
