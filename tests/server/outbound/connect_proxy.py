"""A proxy on a loopback port, as operators run one for outbound requests."""

import select
import socket
import threading
from contextlib import suppress

from tests.waiting import PATIENCE_SECONDS


class ConnectProxy:
    """A proxy that connects each tunnel, and each plain request, to one server; ``asked`` has their targets."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self.asked = list[str]()
        self.status = b"200 Connection established"
        self.answers = True
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(4096)
                if not piece:
                    return
                head += piece
            method, target = head.split(b" ")[:2]
            self.asked.append(f"{method.decode()} {target.decode()}")
            if not self.answers:
                connection.recv(1)
                return
            if method == b"CONNECT":
                connection.sendall(b"HTTP/1.1 " + self.status + b"\r\n\r\n")
                if not self.status.startswith(b"200"):
                    return
                head = b""
            with socket.create_connection(("127.0.0.1", self._server_port)) as server:
                server.sendall(head)
                _relay(connection, server)


def _relay(first: socket.socket, second: socket.socket) -> None:
    """Copy bytes in both directions until one side ends."""
    others = {first: second, second: first}
    while True:
        for ready in select.select([first, second], [], [], PATIENCE_SECONDS)[0]:
            piece = ready.recv(65536)
            if not piece:
                return
            others[ready].sendall(piece)
