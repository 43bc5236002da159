"""Reads that would make the HTTP parser call the server thousands of times: the number of calls is bounded."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from modelyard.server.http.connections import (
    CHUNK_BYTES,
    HEAD_LINES,
    SMALL_CHUNKS,
    WAITING_REQUESTS,
    Connection,
    ConnectionTable,
)
from tests.attacks.raw_http import LAST_REQUEST, find_statuses, send_raw_request
from tests.running import RunningServer
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CHUNKED = b"POST /%s HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
LINE = b"a:b\r\n"
LAST_CHUNK = b"0\r\n"


class CountingConnection(Connection):
    """A connection that counts the calls of its parser."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        config = uvicorn.Config(respond, ws="none", log_config=None, access_log=False)
        super().__init__(ConnectionTable(1), config=config, server_state=ServerState(), app_state={})

    def on_message_begin(self) -> None:
        """Count a request."""
        self.calls["requests"] += 1
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header line."""
        self.calls["lines"] += 1
        super().on_header(name, value)

    def on_chunk_header(self) -> None:
        """Count a chunk."""
        self.calls["chunks"] += 1
        super().on_chunk_header()


async def respond(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with the number of bytes in the body; to ``/refused`` with 403, without reading the body."""
    length, is_complete = 0, scope["path"] == "/refused"
    status = 403 if is_complete else 200
    while not is_complete:
        message = await receive()
        length += len(message.get("body", b""))
        is_complete = not message.get("more_body", False)
    text = b"%d" % length
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


@asynccontextmanager
async def open_connection() -> AsyncIterator[tuple[CountingConnection, asyncio.StreamReader]]:
    """Open a connection of the server, and yield it with what its client receives."""
    connection = CountingConnection()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        accepted, _ = listener.accept()
    await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted)
    async with asyncio.timeout(PATIENCE_SECONDS):
        yield connection, reader
    writer.close()


async def read_at_once(data: bytes) -> tuple[Counter[str], list[int]]:
    """Return the calls of the parser for this read, and the statuses of the responses until the connection closed."""
    async with open_connection() as (connection, reader):
        connection.data_received(data)
        return connection.calls, find_statuses(await reader.read())


def build_chunks(size: int, count: int) -> bytes:
    """Build so many chunks of this size, without the last, empty one."""
    return (b"%x\r\n%s\r\n" % (size, b"x" * size)) * count


REFUSED: dict[str, tuple[bytes, str, int]] = {
    "requests": ((GET + b"\r\n") * 8000, "requests", 1 + WAITING_REQUESTS + 1),
    "head lines": (GET + LINE * 8000 + b"\r\n", "lines", HEAD_LINES + 1),
    "lines after a body": (CHUNKED % b"" + LAST_CHUNK + LINE * 8000 + b"\r\n", "lines", HEAD_LINES + 1),
    "small chunks": (CHUNKED % b"" + build_chunks(1, 10_000), "chunks", SMALL_CHUNKS + 2),
    "small chunks after a large one": (
        CHUNKED % b"" + build_chunks(1_000_000, 1) + build_chunks(1, 10_000),
        "chunks",
        1 + SMALL_CHUNKS + 2,
    ),
}


@pytest.mark.parametrize(("data", "counted", "most"), REFUSED.values(), ids=REFUSED.keys())
async def test_read_of_too_many_parts_is_parsed_in_part_and_refused(data: bytes, counted: str, most: int) -> None:
    calls, statuses = await read_at_once(data)
    assert calls[counted] <= most
    assert statuses == [400]


async def test_small_chunks_of_refused_body_close_connection_without_another_response() -> None:
    async with open_connection() as (connection, reader):
        connection.data_received(CHUNKED % b"refused")
        assert find_statuses(await reader.readuntil(b"\r\n\r\n0")) == [403]
        connection.data_received(build_chunks(1, 10_000))
        assert connection.calls["chunks"] <= SMALL_CHUNKS + 2
        assert await reader.read() == b""


ACCEPTED: dict[str, tuple[bytes, list[int]]] = {
    "requests": ((GET + b"\r\n") * WAITING_REQUESTS, [200] * (WAITING_REQUESTS + 1)),
    "head lines": (GET + LINE * (HEAD_LINES - 1) + b"\r\n", [200] * 2),
    "few small chunks": (CHUNKED % b"" + build_chunks(1, SMALL_CHUNKS) + LAST_CHUNK + b"\r\n", [200] * 2),
    "chunks": (CHUNKED % b"" + build_chunks(CHUNK_BYTES, 4000) + LAST_CHUNK + b"\r\n", [200] * 2),
    "chunks of 1 KiB": (CHUNKED % b"" + build_chunks(1024, 1000) + LAST_CHUNK + b"\r\n", [200] * 2),
}


@pytest.mark.parametrize(("data", "statuses"), ACCEPTED.values(), ids=ACCEPTED.keys())
async def test_read_within_the_limits_is_answered(data: bytes, statuses: list[int]) -> None:
    _, received = await read_at_once(data + LAST_REQUEST)
    assert received == statuses


async def test_body_that_arrives_in_many_reads_has_no_chunks() -> None:
    async with open_connection() as (connection, reader):
        connection.data_received(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            connection.data_received(b"x")
        assert find_statuses(await reader.readuntil(b"\r\n\r\n1000")) == [200]


# Each ends with the byte that is too much: a connection that is closed with unread bytes is reset.
SENT = {
    "requests": ((GET + b"\r\n") * (WAITING_REQUESTS + 1) + b"G", b"16 requests"),
    "head lines": (GET + LINE * HEAD_LINES + b"\r\n", b"100 lines"),
    "small chunks": (CHUNKED % b"healthz" + build_chunks(1, SMALL_CHUNKS + 1) + b"1\r\n", b"256 bytes"),
}


@pytest.mark.parametrize(("request_bytes", "named"), SENT.values(), ids=SENT.keys())
def test_refusal_names_the_limit(server: RunningServer, request_bytes: bytes, named: bytes) -> None:
    responses = send_raw_request(server.port, request_bytes)
    assert responses.statuses == [400]
    assert named in responses.text
