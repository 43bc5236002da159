"""A store with a real HTTP server for its signed URLs, and helpers that send requests to it."""

import hashlib
import http.client
import os
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from modelyard.server.storage.blob_store import BlobStore, NamedPart, SignedRequest
from modelyard.server.storage.s3.store import Bucket
from tests.rclone import RunningRclone
from tests.seaweed import RunningSeaweed
from tests.waiting import PATIENCE_SECONDS, wait_until

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Answer:
    """A response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class ServedStore:
    """A store and the port where its URLs are served."""

    store: BlobStore
    port: int
    # A bucket accepts parts below 5 MiB as last part only.
    part_size: int = 64 << 10
    # A validity that is over at once, or in a moment where a bucket cannot sign for the past.
    shortest: timedelta = -HOUR

    @property
    def size(self) -> int:
        """Return the size of a file of three parts."""
        return 2 * self.part_size + 1000

    def new_key(self, purpose: str = "models") -> str:
        """Return a random key."""
        return new_key(purpose)

    def send(self, request: SignedRequest, body: bytes = b"", **changed: str | None) -> Answer:
        """Send a signed request; ``changed`` headers replace signed ones (``if_none_match=None`` leaves one out)."""
        headers = dict(request.headers)
        for name, value in changed.items():
            headers = {known: text for known, text in headers.items() if known.lower() != name.replace("_", "-")}
            if value is not None:
                headers[name.replace("_", "-")] = value
        return self.ask(request.method, request.url, headers, body)

    def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send one request on a connection of its own, with exactly these headers and ``Host``."""
        target = urlsplit(url)
        connection = http.client.HTTPConnection("127.0.0.1", target.port or self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.putrequest(method, f"{target.path}?{target.query}", skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            connection.send(body)
            response = connection.getresponse()
            return Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def put(self, key: str, body: bytes, sha256: str | None = None) -> Answer:
        """Upload a whole file by a new URL."""
        return self.send(self.store.presign_put(key, len(body), sha256, HOUR), body)

    def put_part(self, key: str, upload: str, number: int, body: bytes) -> NamedPart:
        """Upload a part by a new URL; return it as named for the completion."""
        answer = self.send(self.store.presign_part(key, upload, number, len(body), HOUR), body)
        assert answer.status == 200, answer
        return NamedPart(number, answer.headers["etag"])

    def cut(self, body: bytes, number: int) -> bytes:
        """Return the bytes of one part of this body."""
        return body[(number - 1) * self.part_size : number * self.part_size]

    def get(self, key: str, method: str = "GET", name: str = "ink.safetensors", **headers: str) -> Answer:
        """GET a key by a new URL that names the digest of the stored bytes."""
        sha256 = hashlib.sha256(self.content(key)).hexdigest() if self.store.stat(key) else "0" * 64
        request = self.store.presign_download(key, name, sha256, HOUR)
        return self.ask(method, request.url, {n.replace("_", "-"): v for n, v in headers.items()})

    def content(self, key: str) -> bytes:
        """Return the stored content of a key."""
        return b"".join(self.store.read(key, 0, 1 << 40))

    def begin(self, request: SignedRequest, first: bytes) -> socket.socket:
        """Start an upload: send its headers and ``first``, and leave the connection open."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)
        lines = [f"{request.method} {request.url} HTTP/1.1", "Host: here"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + first)
        return connection


def bucket_in(running: RunningSeaweed | RunningRclone, name: str, prefix: str = "") -> Bucket:
    """Return the settings of a bucket, as the server would have them."""
    return Bucket(
        name,
        prefix,
        endpoint=running.endpoint,
        public_endpoint=running.endpoint,
        access_key=running.access_key,
        secret_key=running.secret_key,
    )


def read_status(connection: socket.socket) -> int:
    """Return the status of the response on a raw connection and close it; 0 if it closes without one."""
    with connection:
        try:
            line = connection.recv(4096)
        except ConnectionResetError:
            return 0
    return int(line.split(b" ")[1]) if line else 0


@contextmanager
def serving(app: ASGIApp) -> Iterator[int]:
    """Run a real server on loopback with this app at ``/blobs``; yield its port."""
    config = uvicorn.Config(
        Starlette(routes=[Mount("/blobs", app=app)]), http="httptools", log_level="critical", access_log=False
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        wait_until(lambda: server.started)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def noise(size: int) -> bytes:
    """Return random bytes."""
    return os.urandom(size)


def new_key(purpose: str = "models") -> str:
    """Return a random key."""
    return f"{purpose}/{uuid.uuid4()}/{uuid.uuid4()}"
