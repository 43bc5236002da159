"""HTTP/1.1 connections, with limits on their number and on how long each may wait for its client."""

import asyncio
import logging
import time
from typing import Any, NoReturn

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# A request's head is a few hundred bytes, sent at once. The parser itself would wait, and buffer, for ever.
HEAD_SECONDS = 10.0
HEAD_BYTES = 64 * 1024
# Each header line, request and chunk of a read is a call on the event loop that all clients share: a limit on bytes
# alone lets thousands through. Browsers and proxies send fewer than 60 lines; Apache and gunicorn have this limit, too.
HEAD_LINES = 100
# Hardly any client sends requests before the last one is answered, and those that do (apt: ten) wait with more.
WAITING_REQUESTS = 16
# Clients make a chunk of each full buffer. So many smaller ones in a row may be lines of text.
SMALL_CHUNKS = 64
CHUNK_BYTES = 256
# After an answer that came before the end of its request, the rest is read and dropped for this long: a connection that
# is closed with unread bytes is reset, and the client may not see the answer.
LINGER_SECONDS = 5.0
# A client that takes less of its answer than this has gone.
STALL_SECONDS = 60.0
STALL_BYTES = 16 * 1024
# Signed, and with time limits of their own.
_TRANSFERS = b"/blobs/"
_WARN_AGAIN_SECONDS = 60.0

log = logging.getLogger("modelyard.http")


class _RequestRefused(Exception):
    """Raised in a call of the parser, which then calls nothing more for the rest of the read."""


class ConnectionTable:
    """The open connections of one process.

    Beyond ``most``, the one that has waited longest for its client is closed. A connection waits until it has received
    a complete request: before the first one, between two, and during a body.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: set[Connection] = set()
        # In the order in which they began to wait.
        self._waiting: dict[Connection, None] = {}
        self._warned_at = float("-inf")

    def __len__(self) -> int:
        """Return the number of open connections."""
        return len(self._open)

    def add(self, connection: "Connection") -> None:
        """Add a connection, as a waiting one; if there are too many, abort the one that has waited longest."""
        self._open.add(connection)
        self._waiting[connection] = None
        if len(self._open) > self.most:
            self._warn()
            oldest = next(iter(self._waiting))
            self.discard(oldest)
            oldest.transport.abort()

    def mark_waiting(self, connection: "Connection") -> None:
        """Record that a connection now waits for its client."""
        if connection in self._open:
            self._waiting.setdefault(connection)

    def mark_busy(self, connection: "Connection") -> None:
        """Record that a connection does not wait for its client: it is not closed in favour of others."""
        self._waiting.pop(connection, None)

    def discard(self, connection: "Connection") -> None:
        """Remove a connection from the table, without closing it. Idempotent."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)

    def _warn(self) -> None:
        """Log that connections are closed, at most once a minute."""
        if time.monotonic() > self._warned_at + _WARN_AGAIN_SECONDS:
            self._warned_at = time.monotonic()
            log.warning("too many connections: idle ones are closed", extra={"connections": self.most})


class Connection(HttpToolsProtocol):
    """One connection of a client: uvicorn's, with deadlines, and limits on what the parser calls for one read."""

    def __init__(self, table: ConnectionTable, **uvicorn_options: Any) -> None:
        super().__init__(**uvicorn_options)
        self._table = table
        # When the client has to have sent what is awaited: a head, or the rest of a body that was refused.
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        # So many bytes may be missing until chunks have ``CHUNK_BYTES`` on average.
        self._chunk_credit = 0
        self._refusal: str | None = None
        self._is_request_complete = self._is_response_complete = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Add the connection to the table, which may close another one, and await a head."""
        super().connection_made(transport)
        self._table.add(self)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the table and cancel its timers."""
        self._table.discard(self)
        self._cancel_deadline()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass the data on; refuse a head above ``HEAD_BYTES`` with 400, but not the rest of a refused body."""
        super().data_received(data)
        if self._deadline is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self._is_lingering:
                self.send_400_response("The head of this request is too long.")

    def send_400_response(self, msg: str) -> None:
        """Respond with 400 and the reason, or only close the connection if the request was responded to already."""
        if self._is_lingering or self.transport.is_closing():
            self.transport.close()
        else:
            super().send_400_response(self._refusal or msg)

    def on_message_begin(self) -> None:
        """Await the head of the next request; refuse it if ``WAITING_REQUESTS`` wait for earlier ones.

        Raises:
            _RequestRefused: see ``_refuse``.
        """
        if len(self.pipeline) >= WAITING_REQUESTS:
            self._refuse(f"More than {WAITING_REQUESTS} requests wait on this connection.")
        super().on_message_begin()
        self._chunk_credit = SMALL_CHUNKS * CHUNK_BYTES
        self._is_request_complete = self._is_response_complete = False
        self._expect_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header line, or one after a chunked body; refuse more than ``HEAD_LINES`` in a request."""
        if len(self.headers) >= HEAD_LINES:
            self._refuse(f"The head of this request has more than {HEAD_LINES} lines.")
        super().on_header(name, value)

    def on_chunk_header(self) -> None:
        """Refuse a body after more than ``SMALL_CHUNKS`` small chunks; uvicorn itself does not use this call."""
        if self._chunk_credit < 0:
            self._refuse(f"The chunks of this body are too small: below {CHUNK_BYTES} bytes on average.")
        self._chunk_credit -= CHUNK_BYTES

    def on_body(self, body: bytes) -> None:
        """Pass a part of a body on, and count its bytes in favour of its chunks."""
        self._chunk_credit = min(self._chunk_credit + len(body), SMALL_CHUNKS * CHUNK_BYTES)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """End the deadline of the head, and read no body until the application asks for it.

        A transfer counts as busy from now on, so that its connection is not closed in favour of others.
        """
        self._cancel_deadline()
        super().on_headers_complete()
        if self.url.startswith(_TRANSFERS):
            self._table.mark_busy(self)
        # Nothing more is read until the application asks for it: it may refuse by the head alone.
        if any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers):
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """Record a complete request; after a refused body, keep the connection for the next request."""
        super().on_message_complete()
        was_lingering = self._is_lingering
        self._is_request_complete = True
        if was_lingering:
            self._cancel_deadline()
            self._keep_alive()
        else:
            self._table.mark_busy(self)

    def on_response_complete(self) -> None:
        """Let the connection wait for its client; abort it later if the rest of a refused body does not arrive."""
        super().on_response_complete()
        if self.transport.is_closing() or not self.cycle.response_complete:
            return
        self._is_response_complete = True
        # An idle connection keeps no memory of what was sent on it.
        self.cycle.body.clear()
        self._table.mark_waiting(self)
        if not self._is_request_complete:
            self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        """Pause the response, and watch whether the client reads what was sent."""
        super().pause_writing()
        self._watch_writing(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Resume the response, and end the watch of ``pause_writing``."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    @property
    def _is_lingering(self) -> bool:
        """Return whether the response was sent before the request was complete."""
        return self._is_response_complete and not self._is_request_complete

    def _refuse(self, reason: str) -> NoReturn:
        """Keep the reason for ``send_400_response``, and raise ``_RequestRefused``, which stops the parser."""
        self._refusal = reason
        raise _RequestRefused(reason)

    def _expect_head(self) -> None:
        """Close the connection unless a head arrives within ``HEAD_SECONDS``; a deadline that runs already stays."""
        if self._deadline is None:
            self._head_bytes = 0
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _cancel_deadline(self) -> None:
        """End the deadline of a head or of a refused body, if one runs."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _keep_alive(self) -> None:
        """Restart the idle timeout, which bytes after the response have ended."""
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _watch_writing(self, left: int) -> None:
        """Check in ``STALL_SECONDS`` whether the client has read more; ``left`` is the unsent number of bytes."""
        self._stalled = self.loop.call_later(STALL_SECONDS, self._check_writing, left)

    def _check_writing(self, left_before: int) -> None:
        """Abort the connection if the client has read less than ``STALL_BYTES``, else check again later."""
        left = self.transport.get_write_buffer_size()
        if left > left_before - STALL_BYTES:
            self.transport.abort()
        else:
            self._watch_writing(left)
