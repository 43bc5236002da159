"""One HTTP/1.1 connection used by one thread at a time, that another thread can stop.

Blocking sockets and ``http.client``, because that is what moves bytes cheapest: ``sendfile`` up, ``recv_into`` down.
"""

import http.client
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from modelyard.transfer import route
from modelyard.transfer.answers import refusal
from modelyard.transfer.failures import BadAnswer, TransferFailed, Unreachable
from modelyard.transfer.network import LARGEST_PIECE, Network
from modelyard.transfer.parts import Part
from modelyard.transfer.source import Source

_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


@dataclass(frozen=True)
class Request:
    """A signed request: every header is part of the signature and goes out as it is."""

    url: str = field(repr=False)  # its query is a secret
    headers: Mapping[str, str]


class Connection:
    """Opened by its first request, kept for the next, opened anew when the other side closed it."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._http: http.client.HTTPConnection | None = None
        self._sock: socket.socket | None = None
        self._origin: tuple[str, str] | None = None
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Make the thread that uses the connection fail now. May be called from any thread, and twice."""
        self._stopped.set()
        with self._lock:
            if self._sock is not None:
                # Not close: the thread inside could meet another file under the same number.
                with suppress(OSError):
                    self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back. May be called twice; a later request opens a new one."""
        with self._lock:
            if self._sock is not None:
                _reset_on_close(self._sock, wanted=False)
        self._drop()

    def _drop(self) -> None:
        """Close with a reset, as every end but ``close`` does.

        A polite close waits behind what a stalled server has not taken, and holds the part there for so long.
        """
        with self._lock:
            if self._http is not None:
                self._http.close()
                self._http = self._sock = None

    def put(self, request: Request, source: Source, part: Part, moved: Callable[[int], None]) -> str | None:
        """Send one part of an open file; gives the ETag of the answer.

        ``moved`` hears how many bytes went out, also those of a try that fails.

        Raises:
            Unreachable, BadAnswer, Refused: what the network and the other side did.
            FileChanged, DiskFailed: the file is shorter than the part needs, or cannot be read.
        """
        with self._exchange(request.url) as (link, url):
            link.putrequest("PUT", route.target(link, url), skip_host=True, skip_accept_encoding=True)
            for name, value in _complete(request.headers, url, part.size).items():
                link.putheader(name, value)
            link.endheaders()
            whole = self._send(link.sock, source, part, moved)
            link.sock.settimeout(self._network.answer_seconds)
            with link.getresponse() as response:
                if not 200 <= response.status < 300:
                    raise refusal(response)
                if not whole:
                    raise BadAnswer("The server answered before it had everything.")
                response.read()
                return response.getheader("ETag")

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
        """The answer to a GET, its body still on the way. Read it all, or the connection is closed.

        Raises:
            Unreachable: also from reading the body inside the block.
        """
        with self._exchange(url) as (link, parts):
            link.request("GET", route.target(link, parts), headers={"Host": parts.netloc, **headers})
            with link.getresponse() as response:
                yield response
                complete = response.isclosed()
            if not complete:
                self.close()

    def read(self, response: http.client.HTTPResponse, buffer: memoryview) -> int:
        """Read what has come, at most ``buffer``; 0 at the end of the body. Keeps the pace."""
        paced = buffer[: self._piece()]
        if response.chunked or response.length is None or response.fp is None:
            count = response.readinto(paced)
        else:
            # response.readinto waits until the buffer is full, which hides progress and loses what came before a break.
            count = response.fp.readinto1(paced[: response.length])
            response.length -= count
            if response.length == 0:
                response.close()
        self._keep_pace(count)
        return count

    @contextmanager
    def _exchange(self, url: str) -> Iterator[tuple[http.client.HTTPConnection, SplitResult]]:
        """An open connection to the host of ``url``. What fails inside closes it and becomes one of our failures."""
        parts = urlsplit(url)
        try:
            yield self._open(parts), parts
        except BaseException as failure:
            self._drop()
            if isinstance(failure, ssl.SSLCertVerificationError):
                raise TransferFailed(f"{parts.hostname} is not trusted: {failure.verify_message}.") from failure
            if isinstance(failure, OSError | http.client.HTTPException | ValueError):
                raise Unreachable(f"{parts.hostname}: {self._words(failure)}.") from failure
            raise

    def _words(self, failure: Exception) -> str:
        if isinstance(failure, TimeoutError):
            return "no byte moved for too long"
        if isinstance(failure, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
            return "the connection was closed"
        if isinstance(failure, http.client.HTTPException | ValueError):
            return "the answer is not HTTP"
        reason = failure.strerror if isinstance(failure, OSError) else None
        return reason or type(failure).__name__

    def _open(self, url: SplitResult) -> http.client.HTTPConnection:
        link = self._http
        # Something to read on an idle connection is its end, or the tail of an answer that was longer than it said.
        if link is not None and (self._origin != (url.scheme, url.netloc) or link.sock is None or _readable(link.sock)):
            self.close()
            link = None
        if link is None:
            link = self._connect(url)
        link.sock.settimeout(self._network.stall_seconds)
        return link

    def _connect(self, url: SplitResult) -> http.client.HTTPConnection:
        link = route.link(url, self._network)
        try:
            link.connect()
        except BaseException:
            link.close()
            raise
        _reset_on_close(link.sock, wanted=True)
        with self._lock:
            self._http, self._sock, self._origin = link, link.sock, (url.scheme, url.netloc)
        if self._stopped.is_set():
            raise Unreachable("The transfer was stopped.")
        return link

    def _send(self, sock: socket.socket, source: Source, part: Part, moved: Callable[[int], None]) -> bool:
        """Send the part; False if the other side answered, or hung up, before it was all sent."""
        send = self._copy if isinstance(sock, ssl.SSLSocket) else self._sendfile
        offset, end = part.offset, part.offset + part.size
        while offset < end:
            try:
                count = send(sock, source, offset, min(self._piece(), end - offset))
            except (BrokenPipeError, ConnectionResetError):
                return False  # It may have said why before it hung up.
            if count is None:
                return False
            moved(count)
            offset += count
            self._keep_pace(count)
        return True

    def _sendfile(self, sock: socket.socket, source: Source, offset: int, count: int) -> int | None:
        poll = select.poll()
        poll.register(sock, select.POLLIN | select.POLLOUT)
        ready = poll.poll(self._network.stall_seconds * 1000)
        if not ready:
            raise TimeoutError
        if ready[0][1] & _READABLE:
            return None
        return source.sendfile(sock.fileno(), offset, count)

    def _copy(self, sock: socket.socket, source: Source, offset: int, count: int) -> int | None:
        """What ``_sendfile`` does, for TLS, whose records the kernel cannot make for us."""
        left = memoryview(source.read(offset, count))
        sent = len(left)
        while left:
            left = left[sock.send(left) :]
        return sent

    def _piece(self) -> int:
        return self._network.pace.piece if self._network.pace else LARGEST_PIECE

    def _keep_pace(self, count: int) -> None:
        if self._network.pace and (delay := self._network.pace.delay(count)) > 0:
            self._stopped.wait(delay)
        if self._stopped.is_set():
            raise Unreachable("The transfer was stopped.")


def _complete(headers: Mapping[str, str], url: SplitResult, size: int) -> dict[str, str]:
    """The signed headers, and the two that HTTP needs where they were not signed."""
    given = {name.lower() for name in headers}
    added = {"Host": url.netloc, "Content-Length": str(size)}
    return {name: value for name, value in added.items() if name.lower() not in given} | dict(headers)


def _readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _reset_on_close(sock: socket.socket, *, wanted: bool) -> None:
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", int(wanted), 0))
