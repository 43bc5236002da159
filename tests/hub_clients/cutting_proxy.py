"""A proxy between a client and the registry that cuts a connection."""

from contextlib import suppress
from socket import SHUT_RDWR, socket

from tests.journeys.tcp_proxy import TcpProxy

CUT_AFTER = 15 << 20


class CuttingProxy(TcpProxy):
    """A proxy that cuts the first connection from which so many bytes were forwarded to the client."""

    def __init__(self, target: int, cut_after: int) -> None:
        super().__init__(target)
        self._server_port, self._cut_after, self.cuts = target, cut_after, 0

    def _forward(self, source: socket, target: socket) -> None:
        if self.cuts or source.getpeername()[1] != self._server_port:
            super()._forward(source, target)
            return
        sent = 0
        with suppress(OSError):
            while chunk := source.recv(64 * 1024):
                target.sendall(chunk)
                sent += len(chunk)
                if sent >= self._cut_after and not self.cuts:
                    self.cuts += 1
                    target.shutdown(SHUT_RDWR)
                    source.shutdown(SHUT_RDWR)
                    return
