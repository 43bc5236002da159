"""A proxy between a registry and PostgreSQL that can lose the answer to a commit, as a network does when it breaks."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

COMMIT = b"COMMIT\x00"
PIECE = 64 * 1024


class Cutting:
    """Passes everything on. After ``lose_next_commit`` the next COMMIT arrives, and the connection ends unanswered."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._armed = threading.Event()
        self.has_cut = threading.Event()

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()

    def lose_next_commit(self) -> None:
        self.has_cut.clear()
        self._armed.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        # PostgreSQL may be stopped: then the client's connection just ends.
        with suppress(OSError), client, socket.create_connection(self._to) as server:
            cut = threading.Event()
            back = threading.Thread(target=self._pass_back, args=(server, client, cut), daemon=True)
            back.start()
            with suppress(OSError):
                while piece := client.recv(PIECE):
                    if COMMIT in piece and self._armed.is_set():
                        self._armed.clear()
                        cut.set()
                    server.sendall(piece)
                server.shutdown(socket.SHUT_WR)
            back.join()

    def _pass_back(self, server: socket.socket, client: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while piece := server.recv(PIECE):
                if cut.is_set():
                    # It is done, and whoever asked will never know.
                    self.has_cut.set()
                    break
                client.sendall(piece)
        # Also when PostgreSQL crashed, and the connection was reset.
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
