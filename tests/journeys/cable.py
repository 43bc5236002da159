"""A cable between two programs that speak TCP, for what happens to cables: unplugged, frozen, very slow."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

_PIECE = 64 * 1024
_SLOW_PIECE = 1024


class Cable:
    """Leads from ``port`` to another port of this machine; while a block of one of its methods runs, badly."""

    def __init__(self, to: int) -> None:
        self._to = ("127.0.0.1", to)
        self._listening: socket.socket | None = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listening.getsockname()[1])
        self._flows = threading.Event()
        self._flows.set()
        self._rate: float | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flows.set()
        self._unplug()

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """What was connected is cut off, and who connects is refused."""
        self._unplug()
        try:
            yield
        finally:
            self._listening = socket.create_server(("127.0.0.1", self.port), backlog=64)
            self._begin()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Who connects is let in, and nobody hears anything; it all arrives afterwards."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    @contextmanager
    def slowed(self, bytes_a_second: float) -> Iterator[None]:
        """So many bytes a second, each way of each connection."""
        self._rate = bytes_a_second
        try:
            yield
        finally:
            self._rate = None

    def _begin(self) -> None:
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def _unplug(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            listening.close()
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, suppress(OSError), socket.create_connection(self._to) as far:
            with self._lock:
                self._open |= {near, far}
            back = threading.Thread(target=self._pass, args=(far, near), daemon=True)
            back.start()
            self._pass(near, far)
            back.join()
            with self._lock:
                self._open -= {near, far}

    def _pass(self, source: socket.socket, to: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE if self._rate is None else _SLOW_PIECE):
                self._flows.wait()
                if (rate := self._rate) is not None:
                    time.sleep(len(piece) / rate)
                to.sendall(piece)
        with suppress(OSError):
            to.shutdown(socket.SHUT_WR)
