"""A proxy between a registry and PostgreSQL that can lose the response to a commit, as a failing network does."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

COMMIT = b"COMMIT\x00"
PIECE = 64 * 1024


class CommitProxy:
    """Forwards everything; after ``lose_next_commit``, the next COMMIT is forwarded but not answered."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._loses_next_commit = threading.Event()
        self.has_lost_commit = threading.Event()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def lose_next_commit(self) -> None:
        """Lose the response to the next COMMIT of any connection."""
        self.has_lost_commit.clear()
        self._loses_next_commit.set()

    def _accept(self) -> None:
        """Accept connections until the proxy is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._forward_connection, args=(client,), daemon=True).start()

    def _forward_connection(self, client: socket.socket) -> None:
        """Forward requests of one connection, and watch for a COMMIT."""
        # If PostgreSQL is stopped, the client's connection is closed.
        with suppress(OSError), client, socket.create_connection(self._target) as server:
            is_commit_sent = threading.Event()
            response_thread = threading.Thread(
                target=self._forward_responses, args=(server, client, is_commit_sent), daemon=True
            )
            response_thread.start()
            with suppress(OSError):
                while piece := client.recv(PIECE):
                    if COMMIT in piece and self._loses_next_commit.is_set():
                        self._loses_next_commit.clear()
                        is_commit_sent.set()
                    server.sendall(piece)
                server.shutdown(socket.SHUT_WR)
            response_thread.join()

    def _forward_responses(self, server: socket.socket, client: socket.socket, is_commit_sent: threading.Event) -> None:
        """Forward responses until the one to be lost."""
        with suppress(OSError):
            while piece := server.recv(PIECE):
                if is_commit_sent.is_set():
                    # PostgreSQL has committed, but the client gets no response.
                    self.has_lost_commit.set()
                    break
                client.sendall(piece)
        # Also when PostgreSQL crashed, and the connection was reset.
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
