"""A TCP proxy that can be disconnected, stalled and throttled, to test how programs behave on a bad network."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from tests.ports import free_port
from tests.waiting import pause

_CHUNK_BYTES = 64 * 1024
_SLOW_CHUNK_BYTES = 1024


class TcpProxy:
    """Forwards connections from ``port`` to another port of this machine, with faults inside its methods' blocks."""

    def __init__(self, target: int) -> None:
        self._target = ("127.0.0.1", target)
        self.port = free_port()
        self._listener: socket.socket | None = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self._is_forwarding = threading.Event()
        self._is_forwarding.set()
        self.held_chunks = 0  # of bytes that arrived while stalled, since the last such block began
        self._rate: float | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        self._start_accepting()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_forwarding.set()
        self._disconnect()

    @contextmanager
    def disconnected(self) -> Iterator[None]:
        """Close all connections and refuse new ones until the block ends."""
        self._disconnect()
        try:
            yield
        finally:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
            self._start_accepting()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Accept connections but forward no bytes until the block ends; then all bytes arrive."""
        self.held_chunks = 0
        self._is_forwarding.clear()
        try:
            yield
        finally:
            self._is_forwarding.set()

    @contextmanager
    def throttled(self, bytes_a_second: float) -> Iterator[None]:
        """Limit each direction of each connection to this rate until the block ends."""
        self._rate = bytes_a_second
        try:
            yield
        finally:
            self._rate = None

    def _start_accepting(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _disconnect(self) -> None:
        """Stop listening and shut down all open connections."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            listener.close()
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self._target) as server:
            with self._lock:
                self._open |= {client, server}
            back = threading.Thread(target=self._forward, args=(server, client), daemon=True)
            back.start()
            self._forward(client, server)
            back.join()
            with self._lock:
                self._open -= {client, server}

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        """Forward bytes in one direction, held while stalled and slowed while throttled, until the source closes."""
        with suppress(OSError):
            while chunk := source.recv(_CHUNK_BYTES if self._rate is None else _SLOW_CHUNK_BYTES):
                if not self._is_forwarding.is_set():
                    with self._lock:
                        self.held_chunks += 1
                self._is_forwarding.wait()
                if (rate := self._rate) is not None:
                    pause(len(chunk) / rate)
                target.sendall(chunk)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
