"""HTTP/1.1 connections for transfers, each used by one thread at a time and stoppable from another.

They use blocking sockets and ``http.client`` for the lowest CPU cost: ``sendfile`` for uploads, ``recv_into`` for
downloads.
"""

import http.client
import select
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import SplitResult

from modelyard.transfer.errors import BadResponse, TransferFailed, Unreachable
from modelyard.transfer.http import proxy
from modelyard.transfer.http.redirects import REDIRECTS, build_transfer_redirected
from modelyard.transfer.http.responses import read_refusal
from modelyard.transfer.options import MAX_CHUNK_SIZE, TransferOptions
from modelyard.transfer.part_plan import Part
from modelyard.transfer.source_file import SourceFile


@dataclass(frozen=True)
class Request:
    """A presigned request. Every header is part of the signature and is sent unchanged."""

    url: str = field(repr=False)  # its query is a secret
    headers: Mapping[str, str]


class Connection:
    """A keep-alive connection: opened by the first request, reused for the same host, else closed and opened again."""

    def __init__(self, options: TransferOptions) -> None:
        self._options = options
        self._http: http.client.HTTPConnection | None = None
        self._sock: socket.socket | None = None
        self._origin: tuple[str, str] | None = None
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    @property
    def is_stopped(self) -> bool:
        """Whether ``stop`` was called, after which every request fails."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Make the request that runs in another thread, and all later ones, fail. Thread-safe and idempotent."""
        self._stopped.set()
        with self._lock:
            if self._sock is not None:
                # Do not close here: the other thread could then use a reused descriptor number.
                with suppress(OSError):
                    self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection gracefully. Idempotent; a later request opens a new one."""
        with self._lock:
            if self._sock is not None:
                _set_reset_on_close(self._sock, is_enabled=False)
        self._reset()

    def _reset(self) -> None:
        """Close the connection with a TCP reset, as every end other than ``close`` does.

        A graceful close would wait for a stalled server to read the buffered data, and keep the part open there.
        """
        with self._lock:
            if self._http is not None:
                self._http.close()
                self._http = self._sock = None

    def put_part(self, request: Request, source: SourceFile, part: Part, on_sent: Callable[[int], None]) -> str | None:
        """Upload one part of an open file and return the ETag of the response, None if it has none.

        ``on_sent`` is called with each number of bytes sent, also in an attempt that fails later.

        Waits as long as the bandwidth limit requires. The connection stays open for the next request, unless it failed.

        Raises:
            BadAddress: the URL is unusable; retrying does not help.
            Unreachable: the connection failed, timed out or was stopped.
            TransferFailed: the certificate of the server is not trusted.
            Redirected: the response is a redirect, which is not followed.
            BadResponse: the server reported success before it had received the whole part.
            Refused: the server answered with a status outside 200-299.
            FileChanged: the file is too short for the part.
            DiskFailed: the file cannot be read.
        """
        with self._open_exchange(request.url) as (http, url):
            http.putrequest("PUT", proxy.build_request_target(http, url), skip_host=True, skip_accept_encoding=True)
            for name, value in _add_required_headers(request.headers, url, part.size).items():
                http.putheader(name, value)
            http.endheaders()
            is_sent = self._send(http.sock, source, part, on_sent)
            http.sock.settimeout(self._options.response_timeout_seconds)
            with http.getresponse() as response:
                _require_no_redirect(response, "upload", request.url)
                if not 200 <= response.status < 300:
                    raise read_refusal(response)
                if not is_sent:
                    raise BadResponse("The server answered before it had received the whole part.")
                response.read()
                return response.getheader("ETag")

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
        """Send a GET request and yield the response, whatever its status but a redirect, before its body is read.

        The connection is closed if the block does not read the whole body. An ``OSError``, ``HTTPException`` or
        ``ValueError`` of the block is re-raised as ``Unreachable``.

        Raises:
            BadAddress: the URL is unusable; retrying does not help.
            Redirected: the response is a redirect, which is not followed.
            Unreachable: the connection failed, also while the block reads the body.
            TransferFailed: the certificate of the server is not trusted.
        """
        with self._open_exchange(url) as (http, parts):
            http.request("GET", proxy.build_request_target(http, parts), headers={"Host": parts.netloc, **headers})
            with http.getresponse() as response:
                _require_no_redirect(response, "download", url)
                yield response
                complete = response.isclosed()
            if not complete:
                self.close()

    def read(
        self,
        response: http.client.HTTPResponse,
        buffer: memoryview,
        on_received: Callable[[int], None] | None = None,
    ) -> int:
        """Read available body bytes, at most 1 MiB, into ``buffer`` and return their number; 0 at the end of the body.

        Blocks as long as the bandwidth limit requires, after it has called ``on_received`` with the number; raises
        ``Unreachable`` after ``stop``. For blocks of ``get``.
        """
        limited = buffer[: self._chunk_size()]
        if response.chunked or response.length is None or response.fp is None:
            count = response.readinto(limited)
        else:
            # readinto blocks until the buffer is full: that hides progress and loses bytes received before a failure.
            count = response.fp.readinto1(limited[: response.length])
            response.length -= count
            if response.length == 0:
                response.close()
        if on_received is not None:
            on_received(count)
        self._limit_bandwidth(count)
        return count

    @contextmanager
    def _open_exchange(self, url: str) -> Iterator[tuple[http.client.HTTPConnection, SplitResult]]:
        """Yield an open connection to the host of ``url``.

        An exception in the block resets the connection. An untrusted certificate is re-raised as ``TransferFailed``;
        any other ``OSError``, ``HTTPException`` or ``ValueError`` as ``Unreachable``.
        """
        parts = proxy.parse_transfer_url(url)
        try:
            yield self._open(parts), parts
        except BaseException as failure:
            self._reset()
            if isinstance(failure, ssl.SSLCertVerificationError):
                why = failure.verify_message
                raise TransferFailed(f"The certificate of {parts.hostname} is not trusted: {why}.") from failure
            if isinstance(failure, OSError | http.client.HTTPException | ValueError):
                raise Unreachable(f"{parts.hostname}: {self._describe_failure(failure)}.") from failure
            raise

    def _describe_failure(self, failure: Exception) -> str:
        """Return a network failure as the end of a sentence, without a period."""
        if isinstance(failure, TimeoutError):
            return "no data was transferred within the timeout"
        if isinstance(failure, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
            return "the connection was closed"
        if isinstance(failure, http.client.HTTPException | ValueError):
            return "the answer is not HTTP"
        reason = failure.strerror if isinstance(failure, OSError) else None
        return reason or type(failure).__name__

    def _open(self, url: SplitResult) -> http.client.HTTPConnection:
        """Return the open connection if it is usable for ``url``; otherwise close it and open another."""
        http = self._http
        # Input on an idle connection is its end, or surplus data of a response longer than declared.
        if http is not None and (
            self._origin != (url.scheme, url.netloc) or http.sock is None or _has_input(http.sock)
        ):
            self.close()
            http = None
        if http is None:
            http = self._connect(url)
        http.sock.settimeout(self._options.stall_timeout_seconds)
        return http

    def _connect(self, url: SplitResult) -> http.client.HTTPConnection:
        """Open a connection to the host of ``url``, directly or through a proxy, and keep it for later requests.

        Raises:
            Unreachable: ``stop`` was called.
        """
        http = proxy.create_connection(url, self._options)
        try:
            http.connect()
        except BaseException:
            http.close()
            raise
        _set_reset_on_close(http.sock, is_enabled=True)
        with self._lock:
            self._http, self._sock, self._origin = http, http.sock, (url.scheme, url.netloc)
        if self._stopped.is_set():
            raise Unreachable("The transfer was stopped.")
        return http

    def _send(self, sock: socket.socket, source: SourceFile, part: Part, on_sent: Callable[[int], None]) -> bool:
        """Send the part at the limited rate.

        Return False if the server answered or closed the connection before its end.
        """
        send = self._send_copied
        if sys.platform != "win32" and not isinstance(sock, ssl.SSLSocket):
            send = self._sendfile
        offset, end = part.offset, part.offset + part.size
        while offset < end:
            try:
                count = send(sock, source, offset, min(self._chunk_size(), end - offset))
            except (BrokenPipeError, ConnectionResetError):
                return False  # A response that explains it may have arrived before.
            if count is None:
                return False
            on_sent(count)
            offset += count
            self._limit_bandwidth(count)
        return True

    if sys.platform != "win32":

        def _sendfile(self, sock: socket.socket, source: SourceFile, offset: int, count: int) -> int | None:
            """Send file bytes with ``sendfile`` once the socket is writable, and return how many were sent.

            Returns None if the server has responded already or closed the connection.
            Raises TimeoutError if it accepts no byte within the timeout.
            """
            poll = select.poll()
            poll.register(sock, select.POLLIN | select.POLLOUT)
            ready = poll.poll(self._options.stall_timeout_seconds * 1000)
            if not ready:
                raise TimeoutError
            if ready[0][1] & (select.POLLIN | select.POLLHUP | select.POLLERR):
                return None
            return source.sendfile(sock.fileno(), offset, count)

    def _send_copied(self, sock: socket.socket, source: SourceFile, offset: int, count: int) -> int | None:
        """Send file bytes over TLS or on Windows, without ``sendfile``, and return how many were sent, never None."""
        unsent = memoryview(source.read(offset, count))
        sent = len(unsent)
        while unsent:
            unsent = unsent[sock.send(unsent) :]
        return sent

    def _chunk_size(self) -> int:
        """Return how many bytes to transfer at once: at most 1 MiB, less with a low bandwidth limit."""
        return self._options.bandwidth_limit.chunk_size if self._options.bandwidth_limit else MAX_CHUNK_SIZE

    def _limit_bandwidth(self, count: int) -> None:
        """Wait as long as the bandwidth limit requires after ``count`` bytes; raise Unreachable after ``stop``."""
        if self._options.bandwidth_limit and (delay := self._options.bandwidth_limit.compute_delay(count)) > 0:
            self._stopped.wait(delay)
        if self._stopped.is_set():
            raise Unreachable("The transfer was stopped.")


def _add_required_headers(headers: Mapping[str, str], url: SplitResult, size: int) -> dict[str, str]:
    """Return the signed headers plus ``Host`` and ``Content-Length`` where they were not signed."""
    given = {name.lower() for name in headers}
    added = {"Host": url.netloc, "Content-Length": str(size)}
    return {name: value for name, value in added.items() if name.lower() not in given} | dict(headers)


def _require_no_redirect(response: http.client.HTTPResponse, what: str, url: str) -> None:
    """Raise ``Redirected`` if a response to a request of ``url`` is a redirect; ``what`` was requested."""
    if response.status in REDIRECTS:
        raise build_transfer_redirected(what, url, response.getheader("Location"))


def _has_input(sock: socket.socket) -> bool:
    """Return whether the socket has data to read or was closed by the peer, without waiting."""
    if sys.platform == "win32":
        is_readable = bool(select.select([sock], [], [], 0)[0])
    else:
        # Not select(), which refuses descriptors above 1023 there.
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        is_readable = bool(poll.poll(0))
    return is_readable


def _set_reset_on_close(sock: socket.socket, *, is_enabled: bool) -> None:
    """Set whether closing the socket sends a TCP reset; errors are ignored."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", int(is_enabled), 0))
