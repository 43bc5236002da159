"""A proxy between an agent and its registry that keeps all bytes that the agent sends."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class RecordingProxy:
    """Forwards connections to ``registry_url`` from ``url``; ``sent`` has what clients sent."""

    def __init__(self, registry_url: str) -> None:
        address = urlsplit(registry_url)
        self._target = (address.hostname or "", address.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = bytearray()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                registry = socket.create_connection(self._target)
                for source, target, record in ((client, registry, self.sent), (registry, client, bytearray())):
                    threading.Thread(target=_forward, args=(source, target, record), daemon=True).start()


def _forward(source: socket.socket, target: socket.socket, record: bytearray) -> None:
    """Forward bytes in one direction until it ends."""
    with suppress(OSError):
        while chunk := source.recv(65536):
            record += chunk
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
